import type { UplinkConfig } from "./data-plane-config.ts";
import type { UplinkStatistics, UplinkStatus } from "./data-plane-status.ts";
import {
  ETHERNET_HEADER_BYTES,
  LENGTH_PREFIX_BYTES,
  recordOf,
  recordWithoutTag,
  VLAN_TAG_BYTES,
} from "./ethernet-frame.ts";
import { readMac } from "./mac-address.ts";
import type { ControlFrames } from "./peer-ingress.ts";
import { StreamPort, type StreamPortOptions } from "./stream-port.ts";
import type { SwitchEngine } from "./switch-engine.ts";
import type { SwitchPort } from "./switch-port.ts";

export interface HostUplinksOptions {
  readonly switchKey: string;
  readonly engine: SwitchEngine;
  readonly stream: Pick<StreamPortOptions, "queueBytes" | "redialMs" | "redialLargestMs">;
  readonly onLink: (status: UplinkStatus) => void;
  readonly control?: ControlFrames | undefined;
}

interface HostUplink {
  readonly config: UplinkConfig;
  readonly port: SwitchPort;
  readonly stream: StreamPort;
}

/** A switch's uplinks on this host: each a stream of frames on a Unix socket that the switch dials. */
export class HostUplinks {
  readonly #options: HostUplinksOptions;
  readonly #uplinks = new Map<string, HostUplink>();

  constructor(options: HostUplinksOptions) {
    this.#options = options;
  }

  /** Removes the uplinks that are not wanted as they are; the promises are of their sockets. */
  removeExcept(wanted: readonly UplinkConfig[]): Promise<void>[] {
    const closing: Promise<void>[] = [];
    for (const [name, { config, stream }] of this.#uplinks) {
      if (wanted.some((each) => each.name === name && each.backing.path === config.backing.path)) continue;
      this.#uplinks.delete(name);
      this.#options.engine.removeUplink(name);
      closing.push(stream.close());
    }
    return closing;
  }

  /** Adds the uplinks that are not there. */
  add(wanted: readonly UplinkConfig[]): void {
    for (const config of wanted) if (!this.#uplinks.has(config.name)) this.#dial(config);
  }

  /** The port that stands for an uplink in the engine, by its key. */
  port(key: string): SwitchPort | undefined {
    for (const { port } of this.#uplinks.values()) if (port.key === key) return port;
    return undefined;
  }

  statuses(): UplinkStatus[] {
    return [...this.#uplinks.values()].map((uplink) => this.#status(uplink));
  }

  statistics(): UplinkStatistics[] {
    return [...this.#uplinks.values()].map(({ config, port }) => {
      const { in: inward, out, forwarded } = port.statistics();
      return { uplink: config.name, in: inward, out, forwarded };
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.removeExcept([]));
  }

  #dial(config: UplinkConfig): void {
    const { switchKey, engine, stream: streamOptions, onLink } = this.#options;
    const port = engine.addUplink(config.name, `${switchKey}/${config.name}`, {
      deliver: (buffer, start, end) => stream.deliver(buffer, start, end),
      flush: () => stream.flush(),
    });
    const stream = new StreamPort({
      ...streamOptions,
      path: config.backing.path,
      onFrame: (buffer, start, end) => {
        if (!this.#isOwn(config.name, buffer, start, end)) engine.receiveFromUplink(port, buffer, start, end);
      },
      onTooLong: (length) => {
        port.in.frame(length);
        port.in.drop("tooLong");
      },
      onBatchEnd: () => engine.flush(),
      onLink: (up) => {
        if (this.#uplinks.get(config.name) !== uplink) return;
        port.linkUp = up;
        engine.uplinksChanged();
        engine.flush();
        onLink(this.#status(uplink));
      },
    });
    const uplink: HostUplink = { config, port, stream };
    this.#uplinks.set(config.name, uplink);
    stream.dial();
  }

  /** Sends a frame, with its tag, out of an uplink. False when it does not leave. */
  send(name: string, frame: Buffer): boolean {
    const uplink = this.#uplinks.get(name);
    if (uplink === undefined || !uplink.port.linkUp) return false;
    const record = recordOf(frame);
    const refusal = uplink.stream.deliver(record, LENGTH_PREFIX_BYTES, record.length);
    uplink.stream.flush();
    return refusal === undefined;
  }

  /** Takes the switch's own frames out. */
  #isOwn(name: string, buffer: Buffer, start: number, end: number): boolean {
    const { control, switchKey } = this.#options;
    if (control === undefined || end - start < ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES) return false;
    const isTagged = buffer.readUInt16BE(start + 12) === 0x8100;
    const etherType = buffer.readUInt16BE(start + (isTagged ? 16 : 12));
    if (!control.isControl(readMac(buffer, start), etherType)) return false;
    const record = isTagged ? recordWithoutTag(buffer, start, end) : recordOf(buffer.subarray(start, end));
    control.receive({
      switch: switchKey,
      from: { kind: "uplink", name },
      frame: record.subarray(LENGTH_PREFIX_BYTES),
      vlan: isTagged ? buffer.readUInt16BE(start + 14) & 0xfff : 0,
    });
    return true;
  }

  #status({ config, port, stream }: HostUplink): UplinkStatus {
    return {
      uplink: config.name,
      switch: this.#options.switchKey,
      link: port.linkUp ? "up" : "down",
      ...(port.linkUp || stream.reason === undefined ? {} : { reason: stream.reason }),
    };
  }
}
