import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { SuiteNic } from "@vdc-os/ready/network";
import { type Echo, isReverseArp, readEcho } from "./ip-frames.ts";

/** A frame that crossed a wire. */
export interface Crossing {
  readonly towards: "vm" | "switch";
  readonly frame: Buffer;
  /** What the frame is, where it is an echo. */
  readonly echo: Echo | undefined;
}

/**
 * The wire between a VM's NIC and the switch: QEMU's `stream` at one end (frames behind 32 bits of length), a NIC of the switch at the other. It writes down
 * all that crosses it, in order. Where QEMU does not read (a VM that stands still takes nothing), frames wait, and have crossed nevertheless; before QEMU is
 * there, they are gone.
 */
export class VmWire implements AsyncDisposable {
  readonly path: string;
  readonly crossings: Crossing[] = [];
  /** Called for each frame that crosses. */
  onCrossing: (crossing: Crossing) => void = () => undefined;
  readonly #nic: SuiteNic;
  readonly #server: Server;
  readonly #waiting = new Set<() => void>();
  #vm: Socket | undefined;
  #isClosed = false;

  private constructor(path: string, nic: SuiteNic) {
    this.path = path;
    this.#nic = nic;
    nic.onFrame = (frame) => this.#toVm(Buffer.from(frame));
    this.#server = createServer((socket) => {
      this.#vm = socket;
      let left: Buffer = Buffer.alloc(0);
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        left = Buffer.concat([left, chunk]);
        while (left.length >= 4 && left.length >= 4 + left.readUInt32BE(0)) {
          const end = 4 + left.readUInt32BE(0);
          const frame = Buffer.from(left.subarray(4, end));
          left = left.subarray(end);
          this.say(frame);
        }
      });
    });
  }

  static async listen(path: string, nic: SuiteNic): Promise<VmWire> {
    const wire = new VmWire(path, nic);
    wire.#server.listen(path);
    await once(wire.#server, "listening");
    return wire;
  }

  /** Where QEMU announced that the VM is here now: the place in `crossings`, or -1. */
  get announcedAt(): number {
    return this.crossings.findIndex(({ towards, frame }) => towards === "switch" && isReverseArp(frame));
  }

  /** Where the first frame came to the VM: the place in `crossings`, or -1. */
  get openedAt(): number {
    return this.crossings.findIndex(({ towards }) => towards === "vm");
  }

  /** The number of the last request of a peer that came to the VM, or 0. */
  lastOf({ identifier }: { readonly identifier: number }): number {
    const last = this.crossings.findLast(({ towards, echo }) => towards === "vm" && echo?.identifier === identifier);
    return last?.echo?.sequence ?? 0;
  }

  /** Says something as the VM. */
  say(frame: Buffer): void {
    if (this.#isClosed) return;
    this.#cross("switch", frame);
    this.#nic.send(frame);
  }

  /** Resolves when it is so; looked at whenever a frame crosses. */
  async until(condition: (wire: VmWire) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Takes the NIC out of the switch. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#vm?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#nic.close();
  }

  #toVm(frame: Buffer): void {
    if (this.#vm === undefined) return;
    this.#cross("vm", frame);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    this.#vm.write(Buffer.concat([length, frame]));
  }

  #cross(towards: Crossing["towards"], frame: Buffer): void {
    const crossing: Crossing = { towards, frame, echo: readEcho(frame) };
    this.crossings.push(crossing);
    this.onCrossing(crossing);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
