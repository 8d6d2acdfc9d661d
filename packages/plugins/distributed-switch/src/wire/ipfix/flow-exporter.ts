import { WireError } from "../wire-error.ts";
import { encodeFlowRecord, encodeRecord, type FlowRecord, templateOf } from "./flow-record.ts";
import { FLOW_TEMPLATES, ipfixSet, type IpfixTemplate, templateSets } from "./ipfix-template.ts";

export interface FlowSampling {
  /** One frame of so many is looked at; 1 for every frame. */
  readonly rate: number;
  /** `systematic` takes every n-th, `random` one of n by chance. Defaults to `systematic`. */
  readonly algorithm?: "systematic" | "random" | undefined;
}

export interface FlowExporterOptions {
  /** Sends a message to the collector; false when it could not even be queued. */
  readonly send: (message: Buffer) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Tells this exporter's records from another's with the same source address. */
  readonly observationDomainId: number;
  /** The largest message, less than the path's MTU by 28 octets (IPv4) or 48 (IPv6). Defaults to `1420`; at least 512. */
  readonly messageBytes?: number | undefined;
  /**
   * How often templates and options are sent again, since UDP loses them and collectors restart (RFC 7011 section 8.4). Defaults to
   * `60_000`.
   */
  readonly refreshMs?: number | undefined;
  /** Undefined: every frame is looked at, and nothing is said about it. */
  readonly sampling?: FlowSampling | undefined;
}

export interface FlowExporterStatistics {
  readonly messages: number;
  readonly flows: number;
  /** Messages that `send` refused; their records are lost, and the collector sees that by the sequence number. */
  readonly failedMessages: number;
  /** Flows that can't be encoded. */
  readonly refusedFlows: number;
}

const HEADER_BYTES = 16;
const SET_HEADER_BYTES = 4;

/**
 * An IPFIX exporting process (RFC 7011) over UDP. Every message carries whole records; templates, the ports' names and the sampling come
 * before what needs them, and again at intervals. A port's number is the same for as long as the exporter lives.
 */
export class FlowExporter {
  readonly #options: FlowExporterOptions;
  readonly #limit: number;
  readonly #ports = new Map<string, number>();
  #portNumbers = 0;
  /** Data records so far, options records included, modulo 2^32. */
  #sequence = 0;
  #templatesAt: number | undefined;
  #sets: { readonly template: IpfixTemplate; readonly records: Buffer[] }[] = [];
  #prefix: Buffer | undefined;
  #bytes = HEADER_BYTES;
  #records = 0;
  #messages = 0;
  #flows = 0;
  #failedMessages = 0;
  #refusedFlows = 0;

  constructor(options: FlowExporterOptions) {
    const { messageBytes = 1420, observationDomainId: domain } = options;
    if (!(messageBytes >= 512 && messageBytes <= 65_507)) {
      throw new WireError("INVALID_ARGUMENT", `messages of ${messageBytes} octets`);
    }
    if (!(Number.isInteger(domain) && domain >= 0 && domain < 2 ** 32)) {
      throw new WireError("INVALID_ARGUMENT", `an observation domain '${domain}'`);
    }
    this.#options = options;
    this.#limit = messageBytes;
  }

  /** Sends flows, in as few messages as they need. With none, it sends templates when they are due. Returns how many were sent. */
  export(flows: Iterable<FlowRecord>): number {
    const before = this.#flows;
    this.#refresh();
    for (const flow of flows) {
      try {
        const record = encodeFlowRecord(flow, this.#portNumber(flow.portKey));
        this.#append(templateOf(flow), record);
        this.#flows += 1;
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.#refusedFlows += 1;
      }
    }
    this.#flush();
    return this.#flows - before;
  }

  /** Forgets a port's number. Its next flow gets another. */
  forgetPort(portKey: string): void {
    this.#ports.delete(portKey);
  }

  statistics(): FlowExporterStatistics {
    return {
      messages: this.#messages,
      flows: this.#flows,
      failedMessages: this.#failedMessages,
      refusedFlows: this.#refusedFlows,
    };
  }

  #refresh(): void {
    const now = this.#options.now();
    if (this.#templatesAt !== undefined && now - this.#templatesAt < (this.#options.refreshMs ?? 60_000)) return;
    this.#templatesAt = now;
    const { sampling } = this.#options;
    const random = sampling?.algorithm === "random";
    const { ipv4, ipv6, ethernet, interface: names } = FLOW_TEMPLATES;
    const samplingTemplate = random ? FLOW_TEMPLATES.randomSampling : FLOW_TEMPLATES.sampling;
    this.#prefix = templateSets([ipv4, ipv6, ethernet, names, samplingTemplate]);
    this.#bytes += this.#prefix.length;
    const rate = Math.max(1, sampling?.rate ?? 1);
    this.#append(
      samplingTemplate,
      encodeRecord(samplingTemplate, {
        observationDomainId: this.#options.observationDomainId,
        // IANA's psamp-parameters: 1 is systematic and count-based, 3 is random n-out-of-N.
        selectorAlgorithm: random ? 3 : 1,
        samplingPacketInterval: 1,
        samplingPacketSpace: rate - 1,
        samplingSize: 1,
        samplingPopulation: rate,
      }),
    );
    for (const [portKey, number] of this.#ports) this.#namePort(portKey, number);
  }

  #portNumber(portKey: string): number {
    const known = this.#ports.get(portKey);
    if (known !== undefined) return known;
    this.#portNumbers += 1;
    this.#ports.set(portKey, this.#portNumbers);
    this.#namePort(portKey, this.#portNumbers);
    return this.#portNumbers;
  }

  #namePort(portKey: string, number: number): void {
    const values = { ingressInterface: number, interfaceName: portKey.slice(0, 200) };
    this.#append(FLOW_TEMPLATES.interface, encodeRecord(FLOW_TEMPLATES.interface, values));
  }

  #append(template: IpfixTemplate, record: Buffer): void {
    let set = this.#sets.at(-1);
    const more = record.length + (set?.template === template ? 0 : SET_HEADER_BYTES);
    if (this.#bytes + more > this.#limit) {
      this.#flush();
      set = undefined;
    }
    if (set?.template !== template) {
      set = { template, records: [] };
      this.#sets.push(set);
      this.#bytes += SET_HEADER_BYTES;
    }
    set.records.push(record);
    this.#bytes += record.length;
    this.#records += 1;
  }

  #flush(): void {
    if (this.#bytes === HEADER_BYTES) return;
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt16BE(10, 0);
    header.writeUInt16BE(this.#bytes, 2);
    header.writeUInt32BE(Math.floor(this.#options.now() / 1000) % 2 ** 32, 4);
    header.writeUInt32BE(this.#sequence, 8);
    header.writeUInt32BE(this.#options.observationDomainId, 12);
    const sets = this.#sets.map(({ template, records }) => ipfixSet(template.id, records));
    const message = Buffer.concat([header, ...(this.#prefix === undefined ? [] : [this.#prefix]), ...sets]);
    this.#sequence = (this.#sequence + this.#records) % 2 ** 32;
    this.#sets = [];
    this.#prefix = undefined;
    this.#bytes = HEADER_BYTES;
    this.#records = 0;
    this.#messages += 1;
    if (!this.#options.send(message)) this.#failedMessages += 1;
  }
}
