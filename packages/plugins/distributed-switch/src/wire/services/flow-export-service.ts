import { FlowExporter, type FlowExporterStatistics } from "../ipfix/flow-exporter.ts";
import type { FlowRecord } from "../ipfix/flow-record.ts";
import type { WireClock } from "../wire-clock.ts";
import type { DatagramSender } from "./datagram-sender.ts";

/** A flow table that tells flows only when it is asked. The data plane's own tells them by itself. */
export interface FlowSource {
  /** Tells the flows that have ended or are due; `now` is on the service's clock. */
  expire(now: number): void;
  /** Tells all flows. */
  drain(): void;
}

/** As the contract's `FlowExport` has it; the timeouts are the flow table's. */
export interface FlowExportSetting {
  /** A literal address. */
  readonly collector: string;
  readonly port: number;
  readonly observationDomainId: number;
  readonly samplingRate: number;
}

export interface FlowExportServiceOptions {
  readonly setting: FlowExportSetting;
  /** Undefined: whoever has flows gives them to {@link FlowExportService.take}. */
  readonly source?: FlowSource | undefined;
  readonly sender: DatagramSender;
  readonly clock: WireClock;
  /** Milliseconds since 1970. */
  readonly unixNow: () => number;
  /** The largest IP packet to the collector. Defaults to `1500`. */
  readonly pathMtu?: number | undefined;
  /** How often what waits is sent, and a source asked. Defaults to `1_000`. */
  readonly intervalMs?: number | undefined;
  /** How often templates are sent again. Defaults to `60_000`. */
  readonly refreshMs?: number | undefined;
}

export interface FlowExportStatus extends FlowExporterStatistics {
  readonly running: boolean;
  /** Flows that came while the service was stopped, or faster than they could be sent. */
  readonly lostFlows: number;
  /** Datagrams that the system refused, and the last reason. */
  readonly failedDatagrams: number;
  readonly failure?: string;
}

/** Flows are sent when so many wait, or at the next interval. */
const BATCH = 64;
const HEADER_BYTES = 48;

/** Exports a switch's flows on one host by IPFIX (RFC 7011) to its collector. Datagrams that are lost on their way are lost. */
export class FlowExportService {
  readonly #options: FlowExportServiceOptions;
  readonly #exporter: FlowExporter;
  #waiting: FlowRecord[] = [];
  #cancel: (() => void) | undefined;
  #running = false;
  #lostFlows = 0;

  constructor(options: FlowExportServiceOptions) {
    const { setting, sender, unixNow, pathMtu = 1500, refreshMs } = options;
    this.#options = options;
    this.#exporter = new FlowExporter({
      send: (message) => sender.send([message], { address: setting.collector, port: setting.port }),
      now: unixNow,
      observationDomainId: setting.observationDomainId,
      messageBytes: Math.min(65_507, Math.max(512, pathMtu - HEADER_BYTES)),
      refreshMs,
      sampling: { rate: setting.samplingRate },
    });
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    // The collector learns the templates before the first flow.
    this.#exporter.export([]);
    this.#plan();
  }

  /** Sends what waits and what a source has, and ends. The sender is its owner's to close. */
  stop(): void {
    if (!this.#running) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#options.source?.drain();
    this.#flush();
    this.#running = false;
  }

  /** Takes flows that ended: the data plane's `onFlows`. Their times are in milliseconds since 1970. */
  take(records: readonly FlowRecord[]): void {
    if (!this.#running) {
      this.#lostFlows += records.length;
      return;
    }
    for (const record of records) this.#waiting.push(record);
    if (this.#waiting.length >= BATCH) this.#flush();
  }

  /** Forgets the number of a port that is gone. */
  forgetPort(portKey: string): void {
    this.#exporter.forgetPort(portKey);
  }

  status(): FlowExportStatus {
    const { failed, failure } = this.#options.sender;
    return {
      running: this.#running,
      ...this.#exporter.statistics(),
      lostFlows: this.#lostFlows,
      failedDatagrams: failed,
      ...(failure === undefined ? {} : { failure }),
    };
  }

  #plan(): void {
    const { clock, source, intervalMs = 1000 } = this.#options;
    this.#cancel = clock.schedule(intervalMs, () => {
      source?.expire(clock.now());
      this.#flush();
      this.#plan();
    });
  }

  #flush(): void {
    const records = this.#waiting;
    this.#waiting = [];
    this.#exporter.export(records);
  }
}
