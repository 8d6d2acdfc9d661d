import { formatMac, type MacAddress } from "../../dataplane/mac-address.ts";
import { LldpAgent, type LldpAgentStatistics, type LldpPort } from "../lldp/lldp-agent.ts";
import type { LldpManagementAddress } from "../lldp/lldp-frame.ts";
import type { WireClock } from "../wire-clock.ts";

/** An uplink of this host. */
export interface DiscoveryUplink {
  /** Its name in the switch. */
  readonly name: string;
  readonly macAddress: MacAddress;
  /** The interface behind it, when it is one. */
  readonly interfaceName?: string | undefined;
}

export interface DiscoveryAgentOptions {
  readonly operation: "listen" | "advertise" | "both";
  /** This host's name in the switch, and the switch's. */
  readonly host: string;
  readonly switchName: string;
  /** The largest payload of a frame. */
  readonly mtu: number;
  readonly managementAddresses?: readonly LldpManagementAddress[] | undefined;
  readonly clock: WireClock;
  /** Sends an untagged frame out of an uplink. */
  readonly transmit: (uplink: string, frame: Buffer) => void;
  readonly onChange?: ((uplink: string) => void) | undefined;
  readonly intervalMs?: number | undefined;
  readonly hold?: number | undefined;
}

/** Somebody at the other end of an uplink. The contract's `Neighbour`, less the host. */
export interface DiscoveredNeighbour {
  readonly uplink: string;
  readonly chassisId: string;
  readonly portId: string;
  readonly systemName?: string;
  readonly systemDescription?: string;
  readonly managementAddress?: string;
  readonly expiresInMs: number;
}

export interface DiscoveryStatus extends LldpAgentStatistics {
  readonly running: boolean;
  readonly neighbours: readonly DiscoveredNeighbour[];
}

/** Destination, source, EtherType, one tag, FCS. */
const FRAME_OVERHEAD = 22;

/** Link layer discovery (LLDP) on a host's uplinks of one switch: this host is the chassis, its uplinks are the ports. */
export class DiscoveryAgent {
  readonly #options: DiscoveryAgentOptions;
  readonly #agent: LldpAgent;

  constructor(options: DiscoveryAgentOptions) {
    this.#options = options;
    this.#agent = new LldpAgent(options);
  }

  /** Replaces the uplinks. */
  configure(uplinks: readonly DiscoveryUplink[]): void {
    this.#agent.configure(uplinks.map((uplink) => this.#port(uplink)));
  }

  start(): void {
    this.#agent.start();
  }

  stop(): void {
    this.#agent.stop();
  }

  /** Takes an LLDP frame that came in by an uplink; the data plane must not forward it. */
  receive(uplink: string, frame: Buffer): void {
    this.#agent.receive(uplink, frame);
  }

  status(): DiscoveryStatus {
    return { running: this.#agent.running, ...this.#agent.statistics(), neighbours: this.neighbours() };
  }

  neighbours(): DiscoveredNeighbour[] {
    return this.#agent.neighbours().map((each) => {
      const { systemName, systemDescription, managementAddresses } = each;
      const address = managementAddresses?.[0]?.address;
      return {
        uplink: each.portKey,
        chassisId: each.chassisId.value,
        portId: each.portId.value,
        ...(systemName === undefined ? {} : { systemName }),
        ...(systemDescription === undefined ? {} : { systemDescription }),
        ...(address === undefined ? {} : { managementAddress: address }),
        expiresInMs: each.expiresInMs,
      };
    });
  }

  #port({ name, macAddress, interfaceName }: DiscoveryUplink): LldpPort {
    const { host, switchName, mtu, managementAddresses } = this.#options;
    return {
      key: name,
      macAddress,
      advertisement: {
        chassisId: { kind: "local", value: host },
        portId:
          interfaceName === undefined
            ? { kind: "mac", value: formatMac(macAddress) }
            : { kind: "interfaceName", value: interfaceName },
        portDescription: `uplink '${name}' of switch '${switchName}'`,
        systemName: host,
        systemDescription: "VDC-OS distributed switch",
        capabilities: { supported: ["bridge"], enabled: ["bridge"] },
        managementAddresses,
        maxFrameSize: mtu + FRAME_OVERHEAD,
      },
    };
  }
}
