import { isDeepStrictEqual } from "node:util";
import type { UplinkConfig } from "./data-plane-config.ts";
import type { DataPlaneLimits } from "./data-plane-limits.ts";
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
import { type FrameLink, type FrameLinkHandlers, type InterfaceLinks, noInterfaceLinks } from "./frame-link.ts";
import { StreamPort, type StreamSettings } from "./stream-port.ts";
import type { SwitchEngine } from "./switch-engine.ts";
import type { SwitchPort } from "./switch-port.ts";

export interface HostUplinksOptions {
  readonly switchKey: string;
  readonly engine: SwitchEngine;
  readonly stream: StreamSettings;
  readonly limits: () => DataPlaneLimits;
  readonly interfaces?: InterfaceLinks | undefined;
  readonly onLink: (status: UplinkStatus) => void;
  readonly control?: ControlFrames | undefined;
}

interface HostUplink {
  readonly config: UplinkConfig;
  readonly port: SwitchPort;
  readonly link: FrameLink;
}

/** An uplink, and the keys of the ports that use it now. */
export interface UplinkUse {
  readonly status: UplinkStatus;
  readonly ports: readonly string[];
}

/** A switch's uplinks on this host: each a stream of frames on a Unix socket that the switch dials, or an interface of the host. */
export class HostUplinks {
  readonly #options: HostUplinksOptions;
  readonly #uplinks = new Map<string, HostUplink>();

  constructor(options: HostUplinksOptions) {
    this.#options = options;
  }

  /** Removes the uplinks that are not wanted as they are; the promises are of their sockets. */
  removeExcept(wanted: readonly UplinkConfig[]): Promise<void>[] {
    const closing: Promise<void>[] = [];
    for (const [name, { config, link }] of this.#uplinks) {
      if (wanted.some((each) => each.name === name && isDeepStrictEqual(each.backing, config.backing))) continue;
      this.#uplinks.delete(name);
      this.#options.engine.removeUplink(name);
      closing.push(link.close());
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

  uses(): UplinkUse[] {
    const { team, directory } = this.#options.engine;
    return this.statuses().map((status) => {
      const uplink = team.uplinks.get(status.uplink);
      const uses = [...directory.all()].filter(
        (port) => uplink !== undefined && team.choiceOf(port).candidates.includes(uplink),
      );
      return { status, ports: uses.map(({ key }) => key) };
    });
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
    const { switchKey, engine, onLink } = this.#options;
    const port = engine.addUplink(config.name, `${switchKey}/${config.name}`, {
      deliver: (buffer, start, end) => link.deliver(buffer, start, end),
      flush: () => link.flush(),
    });
    const link = this.#link(config, {
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
    const uplink: HostUplink = { config, port, link };
    this.#uplinks.set(config.name, uplink);
    link.dial();
  }

  #link({ backing }: UplinkConfig, handlers: FrameLinkHandlers): FrameLink {
    if (backing.kind === "stream") {
      const { stream, limits } = this.#options;
      return new StreamPort({ ...stream, ...handlers, path: backing.path, queueBytes: limits().portQueueBytes });
    }
    return (this.#options.interfaces ?? noInterfaceLinks)(backing.interfaceName, handlers);
  }

  /** Sends a frame, with its tag, out of an uplink. False when it does not leave. */
  send(name: string, frame: Buffer): boolean {
    const uplink = this.#uplinks.get(name);
    if (uplink === undefined || !uplink.port.linkUp) return false;
    const record = recordOf(frame);
    const refusal = uplink.link.deliver(record, LENGTH_PREFIX_BYTES, record.length);
    uplink.link.flush();
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

  #status({ config, port, link }: HostUplink): UplinkStatus {
    return {
      uplink: config.name,
      switch: this.#options.switchKey,
      link: port.linkUp ? "up" : "down",
      ...(port.linkUp || link.reason === undefined ? {} : { reason: link.reason }),
    };
  }
}
