import { connect, type Socket } from "node:net";
import { VdcError } from "@vdc-os/core";

/** After this long without input the connection is given up, so that somebody else can connect to the console. */
const idleMs = 5_000;

/** What is typed into a guest's serial port. Connects when there is something to type. */
export class ConsoleInput {
  readonly #path: string;
  #socket: Promise<Socket> | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when the text has been handed over. Fails with `UNAVAILABLE`. */
  async write(text: string): Promise<void> {
    clearTimeout(this.#idle);
    try {
      this.#socket ??= this.#connect();
      const socket = await this.#socket;
      await new Promise<void>((resolve, reject) => {
        socket.write(text, (error) => (error ? reject(error) : resolve()));
      });
    } catch (cause) {
      this.close();
      throw new VdcError("UNAVAILABLE", "the console does not take input now", { cause });
    }
    // Not at once: QEMU drops what it has not read when the connection ends.
    this.#idle = setTimeout(() => this.close(), idleMs).unref();
  }

  close(): void {
    clearTimeout(this.#idle);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.then((open) => open.destroy()).catch(() => undefined);
  }

  #connect(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path);
      socket.unref();
      socket.once("error", reject);
      socket.once("connect", () => {
        // What the guest says comes from the log. It is taken here too, or the guest would wait for it to be read.
        socket.resume();
        socket.on("error", () => undefined);
        socket.once("close", () => {
          this.#socket = undefined;
        });
        resolve(socket);
      });
    });
  }
}
