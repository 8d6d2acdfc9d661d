import type { Logger } from "@vdc-os/core";
import { addCounters } from "@vdc-os/core/network/v1";
import { connectOvsdb, type OvsdbClient, type TlsSettings } from "@vdc-os/ovsdb";
import { OpenVSwitch, type OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import { type CarriedCounters, noCounters } from "./records.ts";

/** A NIC on a host as its Open vSwitch has it. */
export interface InterfaceView {
  /** Of all interfaces that the logical port has had here, since this host is followed. */
  readonly counters: CarriedCounters;
  /** Whether `ovn-controller` has installed the flows of the logical port. */
  readonly isInstalled: boolean;
}

interface SeenInterface {
  readonly uuid: string;
  readonly before: CarriedCounters;
  readonly now: CarriedCounters;
  readonly isInstalled: boolean;
}

/** The NICs of one host, by their logical ports. Open vSwitch writes counters every five seconds. */
export class ChassisInterfaces {
  readonly #client: OvsdbClient<OpenVSwitchTables>;
  /** Also of NICs that are gone: what they counted is not forgotten while this lives. */
  readonly #seen = new Map<string, SeenInterface>();

  private constructor(client: OvsdbClient<OpenVSwitchTables>) {
    this.#client = client;
  }

  /** Resolves at once; the host is followed as soon as it can be reached. */
  static open(options: {
    readonly remotes: string;
    readonly tls?: TlsSettings;
    readonly logger: Logger;
    readonly onChange: () => void;
    readonly signal: AbortSignal;
  }): { close(): Promise<void>; view(logicalPort: string): InterfaceView | undefined } {
    const { remotes, tls, logger, onChange, signal } = options;
    let opened: ChassisInterfaces | undefined;
    const opening = (async () => {
      while (!signal.aborted) {
        try {
          const client = await connectOvsdb({
            remotes,
            model: OpenVSwitch,
            ...(tls === undefined ? {} : { tls }),
          });
          const made = new ChassisInterfaces(client);
          await made.#follow(onChange);
          opened = made;
          return;
        } catch (error) {
          logger.warn("a host's Open vSwitch can't be followed", { remotes, detail: String(error) });
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, 2_000);
            signal.addEventListener("abort", () => {
              clearTimeout(timer);
              resolve();
            });
          });
        }
      }
    })();
    return {
      async close() {
        await opening;
        await opened?.close();
      },
      view: (logicalPort) => opened?.view(logicalPort),
    };
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  view(logicalPort: string): InterfaceView | undefined {
    const seen = this.#seen.get(logicalPort);
    if (seen === undefined) return undefined;
    return { counters: addCounters(seen.before, seen.now), isInstalled: seen.isInstalled };
  }

  async #follow(onChange: () => void): Promise<void> {
    const monitor = await this.#client.monitor({ Interface: ["name", "external_ids", "statistics"] });
    const read = (): void => {
      for (const { _uuid, external_ids, statistics } of monitor.tables.Interface) {
        const logicalPort = external_ids["iface-id"];
        if (logicalPort === undefined) continue;
        const count = (name: string): string => String(statistics[name] ?? 0);
        const before = this.#seen.get(logicalPort);
        const isSame = before?.uuid === _uuid;
        this.#seen.set(logicalPort, {
          uuid: _uuid,
          // Another interface counts from nothing.
          before: before === undefined ? noCounters : isSame ? before.before : addCounters(before.before, before.now),
          // `rx` is what the interface got from the VM.
          now: {
            framesIn: count("rx_packets"),
            bytesIn: count("rx_bytes"),
            framesOut: count("tx_packets"),
            bytesOut: count("tx_bytes"),
          },
          isInstalled: external_ids["ovn-installed"] === "true",
        });
      }
      onChange();
    };
    monitor.on("changes", read);
    read();
  }
}
