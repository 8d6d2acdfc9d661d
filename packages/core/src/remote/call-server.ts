import type { Clock } from "../context/clock.ts";
import { createOperationContext } from "../context/create-operation-context.ts";
import type { Logger } from "../context/logger.ts";
import type { OperationContext, Progress } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";
import { type JsonRpcLink, toAbortError } from "./json-rpc-link.ts";
import { operationTable, type WireOperation } from "./operation-table.ts";
import { fromCallMeta } from "./call-meta.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/** A provider that is served to a peer: what the author wrote, or a proxy. */
export interface ServedProvider {
  readonly point: AnyExtensionPoint;
  readonly implementation: object;
}

/** What a connection serves. It is asked anew at each call, so providers may come and go. */
export interface ProviderSource {
  lookup(pointId: string, name: string): ServedProvider | undefined;
  list(): readonly ProviderInfo[];
}

/** Options of {@link CallServer}. */
export interface CallServerOptions {
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
}

/** Above so many waiting bytes progress is dropped: it is the latest that counts. */
const progressHighWater = 256 * 1024;

type Method = (input: unknown, context: OperationContext) => unknown;

/** The serving side of a connection: `list`, `c`, `s` and `g` of the wire protocol. */
export class CallServer {
  readonly #link: JsonRpcLink;
  readonly #source: ProviderSource;
  readonly #options: CallServerOptions;
  readonly #credits: Map<number, Credit> = new Map();

  constructor(link: JsonRpcLink, source: ProviderSource, options: CallServerOptions) {
    this.#link = link;
    this.#source = source;
    this.#options = options;
    link.handle("list", () => source.list());
    link.handle("c", (params, signal) => this.#call(params, signal));
    link.handle("s", (params, signal) => this.#stream(params, signal));
    link.onNotify("g", ([call, count]) => this.#credits.get(call as number)?.add(count));
  }

  #call(params: readonly unknown[], signal: AbortSignal): unknown {
    const { operation, method, input, context } = this.#prepare(params, signal);
    if (operation.definition.kind !== "unary") throw wrongKind(operation, "a stream");
    return method(input, context);
  }

  async #stream(params: readonly unknown[], signal: AbortSignal): Promise<null> {
    const { operation, method, input, context, call } = this.#prepare(params, signal);
    if (operation.definition.kind === "unary") throw wrongKind(operation, "not a stream");
    const credit = new Credit((params[5] as { readonly n?: unknown } | undefined)?.n, signal);
    if (this.#credits.has(call)) throw new VdcError("INVALID_ARGUMENT", `call ${call} is in flight already`);
    this.#credits.set(call, credit);
    let iterator: AsyncIterator<unknown> | undefined;
    let ended = false;
    try {
      iterator = (method(input, context) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      while (await credit.take()) {
        const next = await Promise.race([iterator.next(), credit.aborted]);
        if (next === undefined) break;
        if (next.done === true) {
          ended = true;
          return null;
        }
        this.#link.notify("i", [call, next.value]);
      }
      throw toAbortError(signal);
    } catch (error) {
      if (error instanceof Error && iterator === undefined) ended = true;
      throw error;
    } finally {
      credit.dispose();
      this.#credits.delete(call);
      // Not awaited: a producer that sits in `next` returns when it heeds its signal.
      if (!ended) void Promise.resolve(iterator?.return?.()).catch(() => {});
    }
  }

  #prepare(params: readonly unknown[], signal: AbortSignal): PreparedCall {
    const [call, pointId, name, wireName, rawInput, meta] = params;
    if (
      !Number.isSafeInteger(call) ||
      typeof pointId !== "string" ||
      typeof name !== "string" ||
      typeof wireName !== "string"
    ) {
      throw new VdcError("INVALID_ARGUMENT", "a call must be [call, point, name, operation, input, meta?]");
    }
    const served = this.#source.lookup(pointId, name);
    if (served === undefined) {
      throw new VdcError("UNAVAILABLE", `there is no provider '${name}' of '${pointId}' on the other side`, {
        reason: "VDC_REMOTE_PROVIDER_MISSING",
      });
    }
    const operation = operationTable(served.point).get(wireName);
    if (operation === undefined) {
      throw new VdcError(
        "UNIMPLEMENTED",
        `'${pointId}' version ${served.point.version} has no operation '${wireName}'`,
      );
    }
    const receiver = receiverOf(served.implementation, operation, pointId, name);
    const method = receiver[operation.name];
    if (typeof method !== "function") {
      throw new VdcError("UNIMPLEMENTED", `provider '${name}' of '${pointId}' does not implement '${wireName}'`);
    }
    const parsed = operation.definition.input.safeParse(rawInput);
    if (!parsed.success) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `the input of '${pointId}' '${wireName}' is wrong: ${parsed.error.message}`,
      );
    }
    const context = createOperationContext(
      { ...fromCallMeta(meta), signal, onProgress: (update) => this.#progress(call as number, update) },
      this.#options,
    );
    return {
      call: call as number,
      operation,
      method: (method as Method).bind(receiver),
      input: parsed.data,
      context,
    };
  }

  #progress(call: number, update: Progress): void {
    if (this.#link.bufferedBytes < progressHighWater) this.#link.notify("p", [call, update]);
  }
}

interface PreparedCall {
  readonly call: number;
  readonly operation: WireOperation;
  readonly method: Method;
  readonly input: unknown;
  readonly context: OperationContext;
}

function receiverOf(
  implementation: object,
  operation: WireOperation,
  pointId: string,
  name: string,
): Record<string, unknown> {
  if (operation.facet === undefined) return implementation as Record<string, unknown>;
  const facets = (implementation as { readonly facets?: Record<string, Record<string, unknown> | undefined> }).facets;
  const facet = facets?.[operation.facet];
  if (facet === undefined) {
    throw new VdcError("UNIMPLEMENTED", `provider '${name}' of '${pointId}' has no facet '${operation.facet}'`);
  }
  return facet;
}

function wrongKind(operation: WireOperation, is: string): VdcError {
  return new VdcError("INVALID_ARGUMENT", `operation '${operation.wireName}' is ${is}`);
}

/** How many items a consumer still takes. */
class Credit {
  /** Resolves with `undefined` when the consumer cancels. */
  readonly aborted: Promise<undefined>;
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  #left = 0;
  #wake: (() => void) | undefined;

  constructor(first: unknown, signal: AbortSignal) {
    this.#signal = signal;
    let resolve: (value: undefined) => void = () => {};
    this.aborted = new Promise((settle) => {
      resolve = settle;
    });
    this.#onAbort = () => {
      resolve(undefined);
      this.#wake?.();
    };
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
    this.add(first);
  }

  add(count: unknown): void {
    if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > 1_000_000) {
      throw new VdcError("INVALID_ARGUMENT", "a stream's credit must be a whole number from 1 to 1000000");
    }
    this.#left = Math.min(this.#left + (count as number), 1_000_000);
    this.#wake?.();
  }

  /** Uses one item's credit, waiting for it. False once the consumer has cancelled. */
  async take(): Promise<boolean> {
    while (this.#left === 0 && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#signal.aborted) return false;
    this.#left--;
    return true;
  }

  dispose(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
