import {
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type SpanContext,
  type Context as TraceContext,
  trace,
} from "@opentelemetry/api";
import { systemClock } from "../context/clock.ts";
import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import type { CallMeta } from "./wire-protocol.ts";

type MutableMeta = { -readonly [K in keyof CallMeta]: CallMeta[K] };

/** What of a context crosses the wire; `undefined` when all of it is the default. */
export function toCallMeta(context: OperationContext, credit?: number): CallMeta | undefined {
  const span = context.trace === undefined ? undefined : trace.getSpanContext(context.trace);
  if (
    context.deadline === undefined &&
    context.idempotencyKey === undefined &&
    context.tenant === "default" &&
    span === undefined &&
    credit === undefined
  ) {
    return undefined;
  }
  const meta: MutableMeta = {};
  if (context.deadline !== undefined) {
    const clock = context.clock ?? systemClock;
    meta.d = Math.max(0, Math.ceil(context.deadline - clock.monotonic()));
  }
  if (context.idempotencyKey !== undefined) meta.k = context.idempotencyKey;
  if (context.tenant !== "default") meta.t = context.tenant;
  if (credit !== undefined) meta.n = credit;
  if (span !== undefined && isSpanContextValid(span)) {
    meta.w = `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, "0")}`;
    const state = span.traceState?.serialize();
    if (state !== undefined && state !== "") meta.x = state;
  }
  return meta;
}

/** The call options that a peer's meta asks for. Whatever it sent, the result is well-formed. */
export function fromCallMeta(value: unknown): CallOptions {
  if (typeof value !== "object" || value === null) return {};
  const meta = value as Partial<Record<keyof CallMeta, unknown>>;
  const options: { -readonly [K in keyof CallOptions]: CallOptions[K] } = {};
  if (typeof meta.d === "number" && meta.d >= 0) options.timeoutMs = meta.d;
  if (typeof meta.k === "string") options.idempotencyKey = meta.k;
  if (typeof meta.t === "string") options.tenant = meta.t;
  if (typeof meta.w === "string") options.trace = parseTraceparent(meta.w, typeof meta.x === "string" ? meta.x : "");
  return options;
}

/** Reads a W3C Trace Context `traceparent` of version 00 (https://www.w3.org/TR/trace-context/). `undefined` for anything else. */
function parseTraceparent(parent: string, state: string): TraceContext | undefined {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(parent);
  if (match === null) return undefined;
  const span: SpanContext = {
    traceId: match[1] as string,
    spanId: match[2] as string,
    traceFlags: Number.parseInt(match[3] as string, 16),
    isRemote: true,
    ...(state === "" || state.length > 512 ? {} : { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(span) ? trace.setSpanContext(ROOT_CONTEXT, span) : undefined;
}
