import type { Duplex } from "node:stream";
import { type Features, parseFeatures } from "../messages/features.ts";
import type { FlowQuery } from "../messages/flow-mod.ts";
import {
  type AggregateStats,
  aggregateRequest,
  type FlowStats,
  flowStatsRequest,
  parseAggregate,
  parseFlowStats,
} from "../messages/flow-stats.ts";
import { type MeterStats, meterStatsRequest, parseMeterStats } from "../messages/meter.ts";
import { multipartType, parseMultipart } from "../messages/multipart.ts";
import { type PacketIn, packetOut, parsePacketIn } from "../messages/packet.ts";
import {
  type Port,
  type PortStats,
  type PortStatus,
  parsePortStats,
  parsePortStatus,
  parsePorts,
  portStatsRequest,
  portsRequest,
} from "../messages/port.ts";
import { masterRequest } from "../messages/role.ts";
import { subscribe } from "../messages/subscription.ts";
import { OpenFlowError } from "../openflow-error.ts";
import { encodeMessage, type Message, messageType, setTransactionId } from "../wire/message.ts";
import { Batch, type RefusedMessage } from "./batch.ts";
import type { CallOptions } from "./deadline.ts";
import { type ConnectionSettings, OpenFlowConnection } from "./openflow-connection.ts";

/** Options of {@link OpenFlowClient.handshake}. */
export interface OpenFlowClientOptions extends ConnectionSettings {
  /** Ends the handshake with `OPENFLOW_ABORTED`. */
  readonly signal?: AbortSignal;
  /** What one answer may hold, in octets; beyond, the connection is dropped. Defaults to 256 MiB. */
  readonly maxAnswerBytes?: number;
  /** Called for each frame that flows send here. Open vSwitch lets a hundred wait, and drops the others. Without it none are asked for. */
  readonly onPacket?: (packet: PacketIn) => void;
  /** Called when a port came, went or changed. Without it none of that is asked for. */
  readonly onPortStatus?: (status: PortStatus) => void;
}

/**
 * One connection to a bridge, in OpenFlow 1.3. Calls may overlap. When it ends, for whatever reason, all that is under way fails, `closed` resolves, and later
 * calls fail alike: nothing hangs.
 *
 * It is not made anew by itself: what was read over a connection that is gone says nothing, since the switch may have been started again with empty tables.
 * Who makes another one reads again.
 */
export class OpenFlowClient implements AsyncDisposable {
  readonly #connection: OpenFlowConnection;
  readonly #maxAnswerBytes: number;

  private constructor(stream: Duplex, options: OpenFlowClientOptions) {
    this.#maxAnswerBytes = options.maxAnswerBytes ?? 256 * 1024 * 1024;
    this.#connection = new OpenFlowConnection(stream, { ...options, onMessage: (message) => tell(message, options) });
  }

  /**
   * Speaks over a stream that is there: says hello, and asks for what listeners want. The stream is destroyed when this fails, and when the connection ends.
   *
   * @throws `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_PROTOCOL`, `OPENFLOW_CLOSED`, `OPENFLOW_REFUSED` (what listeners want)
   */
  static async handshake(stream: Duplex, options: OpenFlowClientOptions = {}): Promise<OpenFlowClient> {
    const client = new OpenFlowClient(stream, options);
    const packets = options.onPacket !== undefined;
    const portStatus = options.onPortStatus !== undefined;
    const time = options.signal === undefined ? {} : { signal: options.signal };
    try {
      await client.#connection.handshake(time);
      const [refused] = packets || portStatus ? await client.modify(subscribe({ packets, portStatus }), time) : [];
      if (refused === undefined) return client;
      const { refusal: details } = refused;
      throw new OpenFlowError("OPENFLOW_REFUSED", `the switch tells nothing unasked: ${details.name}`, { details });
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Resolves with why the connection has ended: `OPENFLOW_CLOSED`, or `OPENFLOW_PROTOCOL`. Never rejects. */
  get closed(): Promise<OpenFlowError> {
    return this.#connection.closed;
  }

  /** True until the connection ends. */
  get isOpen(): boolean {
    return this.#connection.ended === undefined;
  }

  /** What the switch says of itself. */
  async features(options: CallOptions = {}): Promise<Features> {
    let features: Features | undefined;
    await this.#connection.ask(
      encodeMessage(messageType.featuresRequest),
      {
        type: messageType.featuresReply,
        onAnswer: (body) => {
          features = parseFeatures(body);
          return "done";
        },
      },
      options,
    );
    return features ?? { datapathId: "", tables: 0 };
  }

  /**
   * Sends messages of `addFlow`, `deleteFlow`, `deleteFlows` and `meterMod`, and resolves when the switch has looked at them all. Tells those that it refused:
   * the others are done.
   *
   * @throws `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_CLOSED`: some may be done; `OPENFLOW_BUSY`: none are
   */
  async modify(messages: readonly Buffer[], options: CallOptions = {}): Promise<readonly RefusedMessage[]> {
    if (messages.length === 0) return [];
    using batch = new Batch(this.#connection, messages);
    await batch.send(options);
    return batch.refused;
  }

  /**
   * As {@link modify}, but all at once or not at all: no frame meets half of it, and where any is refused none are done. Open vSwitch takes flows so, and no
   * meters. `timeoutMs` is for each of its steps.
   *
   * @throws `OPENFLOW_REFUSED` where the switch has no bundles; `OPENFLOW_TIMEOUT`, `OPENFLOW_ABORTED`, `OPENFLOW_CLOSED`: all or none are done; `OPENFLOW_BUSY`
   */
  async commit(messages: readonly Buffer[], options: CallOptions = {}): Promise<readonly RefusedMessage[]> {
    if (messages.length === 0) return [];
    using batch = new Batch(this.#connection, messages);
    await batch.commit(options);
    return batch.refused;
  }

  /** Asks to be the one connection that may change the bridge. `false` where another has asked with a higher number. */
  async becomeMaster(generation: bigint, options: CallOptions = {}): Promise<boolean> {
    try {
      await this.#connection.ask(masterRequest(generation), { type: messageType.roleReply }, options);
      return true;
    } catch (error) {
      if (error instanceof OpenFlowError && error.details?.name === "OFPRRFC_STALE") return false;
      throw error;
    }
  }

  async flows(query: FlowQuery = {}, options: CallOptions = {}): Promise<readonly FlowStats[]> {
    return this.#multipart(multipartType.flow, { request: flowStatsRequest(query), parse: parseFlowStats }, options);
  }

  /** How many flows a query means, and what they have counted together: a short answer, however many they are. */
  async aggregate(query: FlowQuery = {}, options: CallOptions = {}): Promise<AggregateStats> {
    const parse = (body: Buffer): readonly AggregateStats[] => [parseAggregate(body)];
    const [found] = await this.#multipart(
      multipartType.aggregate,
      { request: aggregateRequest(query), parse },
      options,
    );
    return found ?? { frames: 0n, octets: 0n, flows: 0 };
  }

  /** The ports that there are now. */
  async ports(options: CallOptions = {}): Promise<readonly Port[]> {
    return this.#multipart(multipartType.portDescription, { request: portsRequest(), parse: parsePorts }, options);
  }

  async portStats(options: CallOptions = {}): Promise<readonly PortStats[]> {
    return this.#multipart(multipartType.portStats, { request: portStatsRequest(), parse: parsePortStats }, options);
  }

  async meterStats(options: CallOptions = {}): Promise<readonly MeterStats[]> {
    return this.#multipart(multipartType.meter, { request: meterStatsRequest(), parse: parseMeterStats }, options);
  }

  /**
   * Sends a frame out by a port, whatever flows say. Nothing tells whether it left.
   *
   * @throws `OPENFLOW_CLOSED`, `OPENFLOW_BUSY`, `OPENFLOW_INVALID_ARGUMENT`
   */
  sendFrame(port: number, frame: Buffer): void {
    this.#connection.send([setTransactionId(packetOut(port, frame), this.#connection.nextXid())]);
  }

  close(): void {
    this.#connection.end("OPENFLOW_CLOSED", "the connection was closed here");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #multipart<T>(
    type: number,
    question: { readonly request: Buffer; readonly parse: (body: Buffer) => readonly T[] },
    options: CallOptions,
  ): Promise<readonly T[]> {
    const found: T[] = [];
    let length = 0;
    const onAnswer = (body: Buffer): "more" | "done" => {
      const part = parseMultipart(body);
      length += part.body.length;
      if (part.type !== type) throw new OpenFlowError("OPENFLOW_PROTOCOL", "the switch answered another question");
      if (length > this.#maxAnswerBytes) {
        const text = `an answer is longer than ${this.#maxAnswerBytes} octets`;
        throw new OpenFlowError("OPENFLOW_PROTOCOL", text);
      }
      for (const each of question.parse(part.body)) found.push(each);
      return part.more ? "more" : "done";
    };
    await this.#connection.ask(question.request, { type: messageType.multipartReply, onAnswer }, options);
    return found;
  }
}

/** Tells listeners what came unasked. */
function tell({ type, body }: Message, { onPacket, onPortStatus }: OpenFlowClientOptions): void {
  if (type === messageType.packetIn) onPacket?.(parsePacketIn(body));
  if (type === messageType.portStatus) onPortStatus?.(parsePortStatus(body));
}
