import { bundleAdd, type BundleStep, bundleControl, checkBundleReply } from "../messages/bundle.ts";
import { OpenFlowError } from "../openflow-error.ts";
import { type OpenFlowRefusal, parseRefusal } from "../refusal/openflow-refusal.ts";
import { encodeMessage, type Message, messageType, setTransactionId } from "../wire/message.ts";
import type { CallOptions } from "./deadline.ts";
import type { OpenFlowConnection } from "./openflow-connection.ts";

/** A message that the switch refused: its place in the batch, and what the switch said. */
export interface RefusedMessage {
  readonly index: number;
  readonly refusal: OpenFlowRefusal;
}

/**
 * Messages that have no answers but refusals. They are sent together, and a barrier after them tells that the switch has looked at all (OpenFlow 1.3.5, 7.3.8).
 */
export class Batch implements Disposable {
  readonly #connection: OpenFlowConnection;
  readonly #messages: readonly Buffer[];
  readonly #xids: readonly number[];
  readonly #refused = new Map<number, OpenFlowRefusal>();
  readonly #stops: readonly (() => void)[];

  /** The messages stay the caller's: copies of them are sent. */
  constructor(connection: OpenFlowConnection, messages: readonly Buffer[]) {
    this.#connection = connection;
    this.#messages = messages;
    this.#xids = messages.map(() => connection.nextXid());
    this.#stops = this.#xids.map((xid, index) =>
      connection.listen(xid, {
        onEnd: () => undefined,
        onMessage: ({ type, body }: Message) => {
          if (type === messageType.error && !this.#refused.has(index)) this.#refused.set(index, parseRefusal(body));
        },
      }),
    );
  }

  /** In the order of the messages. */
  get refused(): readonly RefusedMessage[] {
    return [...this.#refused].map(([index, refusal]) => ({ index, refusal })).sort((a, b) => a.index - b.index);
  }

  /** Sends the messages as they are, and waits for the barrier. */
  async send(options: CallOptions): Promise<void> {
    this.#connection.send(this.#numbered());
    await this.#barrier(options);
  }

  /** Has all of them done at once by a bundle, or none: then `refused` tells which of them the switch did not take. */
  async commit(options: CallOptions): Promise<void> {
    const bundle = this.#connection.nextXid();
    await this.#step(bundle, "open", options);
    try {
      // A message within a bundle has the transaction id of the one that adds it.
      this.#connection.send(
        this.#numbered().map((message) => setTransactionId(bundleAdd(bundle, message), message.readUInt32BE(4))),
      );
      await this.#barrier(options);
    } catch (error) {
      await this.#step(bundle, "discard", options).catch(() => undefined);
      throw error;
    }
    if (this.#refused.size > 0) return this.#step(bundle, "discard", options);
    try {
      await this.#step(bundle, "commit", options);
    } catch (error) {
      // The refusal of the message at fault comes before that of the bundle.
      if (!(error instanceof OpenFlowError) || error.code !== "OPENFLOW_REFUSED" || this.#refused.size === 0)
        throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop();
  }

  #numbered(): readonly Buffer[] {
    return this.#messages.map((message, index) => setTransactionId(Buffer.from(message), this.#xids[index] ?? 0));
  }

  #barrier(options: CallOptions): Promise<void> {
    return this.#connection.ask(encodeMessage(messageType.barrierRequest), { type: messageType.barrierReply }, options);
  }

  #step(bundle: number, step: BundleStep, options: CallOptions): Promise<void> {
    const onAnswer = (body: Buffer): "done" => {
      checkBundleReply(body, bundle, step);
      return "done";
    };
    return this.#connection.ask(bundleControl(bundle, step), { type: messageType.experimenter, onAnswer }, options);
  }
}
