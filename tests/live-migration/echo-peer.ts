import type { SuiteNic } from "@vdc-os/ready/network";
import { echoRequest, readEcho, type Station } from "./ip-frames.ts";

/** A NIC that asks the VM for echoes, and hears what comes back. */
export class EchoPeer implements Station {
  readonly host: string;
  readonly mac: string;
  readonly address: string;
  /** Tells its requests from those of others. */
  readonly identifier: number;
  /** Every frame that came. */
  readonly frames: Buffer[] = [];
  /** The numbers of the replies to its requests, in order. */
  readonly replies: number[] = [];
  /** Called for each frame. */
  onFrame: (frame: Buffer) => void = () => undefined;
  readonly #nic: SuiteNic;
  readonly #waiting = new Set<() => void>();

  constructor(
    { host, mac, address, identifier }: Pick<EchoPeer, "host" | "mac" | "address" | "identifier">,
    nic: SuiteNic,
  ) {
    this.host = host;
    this.mac = mac;
    this.address = address;
    this.identifier = identifier;
    this.#nic = nic;
    nic.onFrame = (frame) => this.#hear(Buffer.from(frame));
  }

  send(frame: Buffer): void {
    this.#nic.send(frame);
  }

  ask(vm: Station, sequence: number): void {
    this.send(echoRequest(this, vm, { identifier: this.identifier, sequence }));
  }

  /** Resolves when it is so; looked at whenever a frame comes. */
  async until(condition: (peer: EchoPeer) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  async close(): Promise<void> {
    await this.#nic.close();
  }

  #hear(frame: Buffer): void {
    this.frames.push(frame);
    const echo = readEcho(frame);
    if (echo?.kind === "reply" && echo.identifier === this.identifier) this.replies.push(echo.sequence);
    this.onFrame(frame);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
