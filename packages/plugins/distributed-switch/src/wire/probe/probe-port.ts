import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { recordOf } from "../../dataplane/ethernet-frame.ts";
import { FrameSplitter } from "../../dataplane/frame-splitter.ts";
import { formatMac } from "../../dataplane/mac-address.ts";
import { ETHERTYPE_VLAN } from "../packet/packet-headers.ts";
import type { WireClock } from "../wire-clock.ts";
import { PathProber, type ProbeResult, type ProbeTarget } from "./path-prober.ts";
import { isProbe, probeMac } from "./probe-frame.ts";

export interface ProbePortOptions {
  /** This host's name in the switch. */
  readonly member: string;
  /** The Unix socket, in a folder that only its owner may enter. A file that is there is replaced. */
  readonly path: string;
  readonly clock: WireClock;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly attempts?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * A host's own port on a switch, for the health check: a trunk of all VLANs by which probes go the way that a VM's frames go. The data plane dials
 * it like a NIC; every member has one, on the address that follows from its name. VLANs 1 to 4094.
 */
export class ProbePort implements AsyncDisposable {
  /** What the data plane's port has to be, besides its key. */
  readonly socketPath: string;
  readonly settings: {
    readonly macAddress: string;
    readonly vlan: { readonly kind: "trunk"; readonly ranges: { readonly from: number; readonly to: number }[] };
  };
  readonly #prober: PathProber;
  readonly #server: Server;
  #socket: Socket | undefined;

  private constructor(options: ProbePortOptions) {
    this.socketPath = options.path;
    this.settings = {
      macAddress: formatMac(probeMac(options.member)),
      vlan: { kind: "trunk", ranges: [{ from: 1, to: 4094 }] },
    };
    this.#prober = new PathProber({ ...options, send: (frame, { vlan }) => this.#send(frame, vlan) });
    this.#server = createServer((socket) => this.#connected(socket));
  }

  static async listen(options: ProbePortOptions): Promise<ProbePort> {
    const port = new ProbePort(options);
    rmSync(options.path, { force: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    port.#server.once("error", reject);
    port.#server.listen(options.path, resolve);
    await promise;
    port.#server.off("error", reject);
    chmodSync(options.path, 0o600);
    return port;
  }

  /** Whether the data plane is connected. */
  get up(): boolean {
    return this.#socket !== undefined;
  }

  get statistics(): PathProber["statistics"] {
    return this.#prober.statistics;
  }

  /** Tries ways to other members; see {@link PathProber.run}. `findingsOf` judges the results. */
  run(targets: readonly ProbeTarget[], options: { readonly signal?: AbortSignal } = {}): Promise<ProbeResult[]> {
    return this.#prober.run(targets, options);
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #connected(socket: Socket): void {
    // A data plane that was restarted must not wait until its predecessor's end is noticed.
    this.#socket?.destroy();
    this.#socket = socket;
    const splitter = new FrameSplitter({
      // What is flooded to all ports comes here too: only probes are looked at.
      onFrame: (buffer, start, end) => {
        const frame = buffer.subarray(start, end);
        if (isProbe(frame)) this.#prober.receive(frame);
      },
      onTooLong: () => undefined,
    });
    socket.on("data", (chunk: Buffer) => {
      if (!splitter.push(chunk)) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
  }

  #send(frame: Buffer, vlan: number): string | undefined {
    const socket = this.#socket;
    if (vlan < 1 || vlan > 4094) return "no such VLAN";
    if (socket === undefined) return "linkDown";
    if (socket.writableLength > 1024 * 1024) return "queueFull";
    const tag = Buffer.alloc(4);
    tag.writeUInt16BE(ETHERTYPE_VLAN, 0);
    tag.writeUInt16BE(vlan, 2);
    socket.write(recordOf(Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)])));
    return undefined;
  }
}
