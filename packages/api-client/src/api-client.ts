import { isVdcError, type Page, pageOf, type SerializedError, VdcError } from "@vdc-os/core";
import {
  type CloudImage,
  type CloudInstance,
  type CloudNetwork,
  type CloudOperation,
  type CreateInstance,
  cloudImage,
  cloudInstance,
  cloudNetwork,
  cloudOperation,
  type Offering,
  offering,
} from "@vdc-os/core/cloud/v1";
import { z } from "zod";
import { type About, about } from "./about.ts";

/** Options of {@link createApiClient}. */
export interface ApiClientOptions {
  /** The API's base address: `http://127.0.0.1:8443`. Plain HTTP is for loopback; elsewhere put TLS in front. */
  readonly baseUrl: string;
  /** The bearer token. It is sent to `baseUrl` only, and is never part of an error. */
  readonly token: string;
  /** Defaults to the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How long a request may take, in milliseconds. Defaults to 30000. */
  readonly timeoutMs?: number;
  /** The largest answer that is read, in bytes. Defaults to 8 MiB. */
  readonly maxResponseBytes?: number;
}

/** Options of every call. */
export interface ApiCallOptions {
  readonly signal?: AbortSignal;
}

/** Which page of a list. */
export interface ApiPage {
  readonly limit?: number;
  readonly pageToken?: string;
}

/**
 * A typed client of the HTTP API of a VDC-OS datacenter. Every answer is checked against its schema; errors are {@link VdcError}s with
 * the code that the server gave, or `UNAVAILABLE` when it could not be reached. It never retries: the caller knows what may be repeated.
 */
export interface ApiClient {
  about(options?: ApiCallOptions): Promise<About>;
  listSizes(page?: ApiPage, options?: ApiCallOptions): Promise<Page<Offering>>;
  listImages(page?: ApiPage & { readonly name?: string }, options?: ApiCallOptions): Promise<Page<CloudImage>>;
  listNetworks(page?: ApiPage, options?: ApiCallOptions): Promise<Page<CloudNetwork>>;
  /** Begins to create an instance. The token of the stamp is the idempotency key. */
  createInstance(input: CreateInstance, options?: ApiCallOptions): Promise<CloudInstance>;
  /** `undefined` when there is none. */
  getInstance(instanceId: string, options?: ApiCallOptions): Promise<CloudInstance | undefined>;
  listInstances(
    filter?: ApiPage & { readonly ownerDatacenter?: string; readonly changedSince?: number; readonly token?: string },
    options?: ApiCallOptions,
  ): Promise<Page<CloudInstance>>;
  /** Begins to remove an instance; an absent one is a success. */
  removeInstance(instanceId: string, options?: ApiCallOptions): Promise<CloudOperation>;
  getOperation(operationId: string, options?: ApiCallOptions): Promise<CloudOperation>;
  /** The console's text from a byte offset on. */
  readConsole(
    instanceId: string,
    offset: number,
    options?: ApiCallOptions,
  ): Promise<{ readonly offset: number; readonly text: string }>;
}

const consoleText = z.object({ offset: z.number(), text: z.string() });

/** Makes a client of the API at `baseUrl`. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  const call = requester(options);
  return {
    about: (o) => call("GET", "/v1/about", about, o),
    listSizes: (page, o) => call("GET", `/v1/sizes${query({ ...page })}`, pageOf(offering), o),
    listImages: (page, o) => call("GET", `/v1/images${query({ ...page })}`, pageOf(cloudImage), o),
    listNetworks: (page, o) => call("GET", `/v1/networks${query({ ...page })}`, pageOf(cloudNetwork), o),
    createInstance: (input, o) => call("POST", "/v1/instances", cloudInstance, o, input),
    async getInstance(instanceId, o) {
      try {
        return await call("GET", `/v1/instances/${segmentOf(instanceId)}`, cloudInstance, o);
      } catch (error) {
        if (isVdcError(error, "NOT_FOUND")) return undefined;
        throw error;
      }
    },
    listInstances: (filter, o) => call("GET", `/v1/instances${query({ ...filter })}`, pageOf(cloudInstance), o),
    async removeInstance(instanceId, o) {
      if (isNobodys(instanceId)) return { operationId: instanceId, state: "succeeded" };
      return call("DELETE", `/v1/instances/${segmentOf(instanceId)}`, cloudOperation, o);
    },
    getOperation: async (operationId, o) => call("GET", `/v1/operations/${segmentOf(operationId)}`, cloudOperation, o),
    readConsole: async (instanceId, offset, o) =>
      call("GET", `/v1/instances/${segmentOf(instanceId)}/console${query({ offset })}`, consoleText, o),
  };
}

/** Ids that nobody has: in an address they are ways to somewhere else, however they are written (WHATWG URL, path states). */
function isNobodys(id: string): boolean {
  return id === "." || id === "..";
}

/** An id as a part of a path. */
function segmentOf(id: string): string {
  if (isNobodys(id)) throw new VdcError("NOT_FOUND", `there is nothing with the id '${id}'`);
  return encodeURIComponent(id);
}

function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

type Request = <T>(
  method: string,
  path: string,
  answer: z.ZodType<T>,
  options?: ApiCallOptions,
  body?: unknown,
) => Promise<T>;

function requester(options: ApiClientOptions): Request {
  const base = new URL(options.baseUrl);
  if (base.protocol !== "http:" && base.protocol !== "https:") {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `the API's address '${options.baseUrl}' must begin with http:// or https://`,
    );
  }
  const send = options.fetch ?? fetch;
  const maxBytes = options.maxResponseBytes ?? 8 * 1024 * 1024;
  return async (method, path, answer, callOptions = {}, body) => {
    // A signal of the runtime's own timeout would stay in memory until it fires, long after the answer.
    const ending = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      ending.abort();
    }, options.timeoutMs ?? 30_000);
    const giveUp = (): void => ending.abort(callOptions.signal?.reason);
    if (callOptions.signal?.aborted) giveUp();
    callOptions.signal?.addEventListener("abort", giveUp);
    const where = `${method} ${base.origin}${path.split("?")[0]}`;
    let response: Response;
    let text: string;
    try {
      response = await send(new URL(path, base), {
        method,
        signal: ending.signal,
        // A redirect would carry the token to another place.
        redirect: "error",
        headers: {
          authorization: `Bearer ${options.token}`,
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await readBounded(response, maxBytes, where);
    } catch (error) {
      if (isVdcError(error)) throw error;
      if (callOptions.signal?.aborted) throw new VdcError("CANCELLED", `${where} was cancelled`, { cause: error });
      if (late) throw new VdcError("DEADLINE_EXCEEDED", `${where} did not answer in time`, { cause: error });
      throw new VdcError("UNAVAILABLE", `${where} could not be reached: is the datacenter's API running there?`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      callOptions.signal?.removeEventListener("abort", giveUp);
    }
    const data = parse(text);
    if (!response.ok) throw errorOf(response.status, data, where);
    const parsed = answer.safeParse(data);
    if (!parsed.success) {
      throw new VdcError(
        "INTERNAL",
        `${where} answered with data of another shape than this client knows: ${z.prettifyError(parsed.error)}`,
      );
    }
    return parsed.data;
  };
}

async function readBounded(response: Response, maxBytes: number, where: string): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes)
      throw new VdcError("RESOURCE_EXHAUSTED", `${where} answered with more than ${maxBytes} bytes`, {
        retryable: false,
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorOf(status: number, data: unknown, where: string): VdcError {
  const error = (data as { error?: SerializedError } | undefined)?.error;
  if (typeof error?.code === "string" && typeof error.message === "string") return VdcError.fromJSON(error);
  const code =
    status === 401
      ? "UNAUTHENTICATED"
      : status === 403
        ? "PERMISSION_DENIED"
        : status === 404
          ? "NOT_FOUND"
          : status >= 500
            ? "UNAVAILABLE"
            : "UNKNOWN";
  return new VdcError(code, `${where} answered with HTTP status ${status}`);
}
