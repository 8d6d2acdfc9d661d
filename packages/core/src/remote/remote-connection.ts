import type { Clock } from "../context/clock.ts";
import { isCancellable } from "../context/create-operation-context.ts";
import type { Logger } from "../context/logger.ts";
import type { OperationContext, Progress } from "../context/operation-context.ts";
import { coreVersion } from "../core-version.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import { toCallMeta } from "./call-meta.ts";
import { CallServer, type ProviderSource } from "./call-server.ts";
import { type ByteStream, JsonRpcLink, type LinkLimits } from "./json-rpc-link.ts";
import type { WireOperation } from "./operation-table.ts";
import { type CallSender, proxyClassOf } from "./proxy-class.ts";
import { RemoteStream } from "./remote-stream.ts";
import { defaultStreamWindow, type PeerInfo, type ProviderInfo, wireProtocol } from "./wire-protocol.ts";

/** Options of a {@link RemoteConnection}. */
export interface RemoteConnectionOptions extends LinkLimits {
  /** What this side serves to the peer. Defaults to nothing. */
  readonly serves?: ProviderSource | undefined;
  /** How many items of a stream may be on their way to this side. Defaults to 16. */
  readonly streamWindow?: number | undefined;
  /** For the calls that this side serves. */
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  /** How long the handshake may take, in milliseconds. Defaults to 10_000. */
  readonly handshakeTimeoutMs?: number | undefined;
}

/** Serves nothing. */
export const noProviders: ProviderSource = { lookup: () => undefined, list: () => [] };

/**
 * A connection to another process, over which each side uses the other's providers. Made by `connectProviders` and `serveProviders`.
 *
 * When it is lost, calls in flight fail with `UNAVAILABLE`, what the peer called here is cancelled, and {@link closed} resolves.
 * A connection does not come back: whoever made it makes another.
 */
export class RemoteConnection implements AsyncDisposable {
  /** The JSON-RPC layer, for methods beside those of providers. */
  readonly link: JsonRpcLink;
  readonly #source: ProviderSource;
  readonly #window: number;
  readonly #handshakeTimeoutMs: number;
  /** Sends calls to the peer, for proxies that outlive this connection. */
  readonly sender: CallSender;
  readonly #progress: Map<number, OperationContext> = new Map();
  readonly #streams: Map<number, RemoteStream> = new Map();
  readonly #greeted: Promise<PeerInfo>;
  #peer: PeerInfo | undefined;
  #resolveGreeted: (peer: PeerInfo) => void = () => {};
  #calls = 0;

  constructor(stream: ByteStream, options: RemoteConnectionOptions = {}) {
    this.#source = options.serves ?? noProviders;
    this.#window = options.streamWindow ?? defaultStreamWindow;
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs ?? 10_000;
    this.#greeted = new Promise((resolve) => {
      this.#resolveGreeted = resolve;
    });
    this.link = new JsonRpcLink(stream, options);
    this.link.handle("hello", ([peer]) => {
      this.#accept(peer);
      return this.#self();
    });
    this.link.onNotify("p", ([call, update]) => this.#progress.get(call as number)?.progress(toProgress(update)));
    this.link.onNotify("i", ([call, item]) => this.#streams.get(call as number)?.push(item));
    new CallServer(this.link, this.#source, options);
    this.sender = {
      call: (operation, point, name, input, context) => this.#call(operation, point, name, input, context),
      stream: (operation, point, name, input, context) => this.#stream(operation, point, name, input, context),
    };
  }

  /** What the peer said of itself. Throws before the handshake. */
  get peer(): PeerInfo {
    if (this.#peer === undefined) throw new VdcError("FAILED_PRECONDITION", "the peer has not said hello yet");
    return this.#peer;
  }

  /** Resolves when the connection is over, with why. */
  get closed(): Promise<VdcError> {
    return this.link.closed;
  }

  /** Says hello. Rejects with `FAILED_PRECONDITION` (`VDC_REMOTE_VERSION`) when the two sides can't understand each other. */
  async greet(): Promise<PeerInfo> {
    const timeout = AbortSignal.timeout(this.#handshakeTimeoutMs);
    try {
      return this.#accept(await this.link.request("hello", [this.#self()], timeout));
    } catch (error) {
      await this.link.close();
      throw error;
    }
  }

  /** Waits until the peer has said hello. Rejects when the connection is lost before. */
  async greeted(): Promise<PeerInfo> {
    return Promise.race([
      this.#greeted,
      this.link.closed.then((why) => {
        throw why;
      }),
    ]);
  }

  /** What the peer serves now. */
  async list(options: { readonly signal?: AbortSignal } = {}): Promise<readonly ProviderInfo[]> {
    return readProviders(await this.link.request("list", [], options.signal));
  }

  /**
   * A provider of the peer as if it were here: it has the interface that the author implemented, so a kernel registers it like a local
   * provider. Throws `FAILED_PRECONDITION` when the peer said that it serves an incompatible version of the contract.
   */
  proxy<T>(point: ExtensionPoint<T>, name: string): T {
    const offered = this.#peer?.providers.find((info) => info.point === point.id && info.name === name);
    if (offered !== undefined && !isContractCompatible(point.version, offered.version)) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `provider '${name}' serves version ${offered.version} of '${point.id}', and this side was built against ${point.version}`,
        {
          reason: "VDC_REMOTE_VERSION",
          details: { point: point.id, offered: offered.version, required: point.version },
        },
      );
    }
    const ProxyOfPoint = proxyClassOf(point);
    return new ProxyOfPoint(this.sender, name, offered?.facets) as T;
  }

  /** Ends the connection. */
  close(): Promise<void> {
    return this.link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #self(): PeerInfo {
    return { protocol: wireProtocol, core: coreVersion, providers: this.#source.list() };
  }

  #accept(value: unknown): PeerInfo {
    const peer = readPeerInfo(value);
    this.#peer = peer;
    this.#resolveGreeted(peer);
    return peer;
  }

  #call(
    operation: WireOperation,
    point: string,
    name: string,
    input: unknown,
    context: OperationContext,
  ): Promise<unknown> {
    const call = ++this.#calls;
    const meta = toCallMeta(context);
    const params =
      meta === undefined
        ? [call, point, name, operation.wireName, input]
        : [call, point, name, operation.wireName, input, meta];
    this.#progress.set(call, context);
    return this.link.request("c", params, isCancellable(context) ? context.signal : undefined).then(
      (result) => {
        this.#progress.delete(call);
        return result === null && operation.nullIsNothing ? undefined : result;
      },
      (error) => {
        this.#progress.delete(call);
        throw error;
      },
    );
  }

  #stream(
    operation: WireOperation,
    point: string,
    name: string,
    input: unknown,
    context: OperationContext,
  ): AsyncIterable<unknown> {
    const call = ++this.#calls;
    const stream: RemoteStream = new RemoteStream(
      {
        open: (credit, signal) => {
          this.#streams.set(call, stream);
          this.#progress.set(call, context);
          return this.link.request(
            "s",
            [call, point, name, operation.wireName, input, toCallMeta(context, credit)],
            signal,
          );
        },
        grant: (count) => this.link.notify("g", [call, count]),
        forget: () => {
          this.#streams.delete(call);
          this.#progress.delete(call);
        },
      },
      { window: this.#window, signal: isCancellable(context) ? context.signal : undefined },
    );
    return stream;
  }
}

function toProgress(value: unknown): Progress {
  const { fraction, message } = (value ?? {}) as { readonly fraction?: unknown; readonly message?: unknown };
  return {
    ...(typeof fraction === "number" && fraction >= 0 && fraction <= 1 ? { fraction } : {}),
    ...(typeof message === "string" ? { message } : {}),
  };
}

function readPeerInfo(value: unknown): PeerInfo {
  const peer = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof PeerInfo, unknown>>;
  const core = peer.core === undefined ? undefined : String(peer.core);
  const said = `the other side speaks protocol ${String(peer.protocol)} of @vdc-os/core ${core ?? "(none)"}`;
  if (peer.protocol !== wireProtocol)
    throw versionError(`${said}, this side protocol ${wireProtocol} of ${coreVersion}`);
  if (core !== undefined && !isContractCompatible(core, coreVersion) && !isContractCompatible(coreVersion, core)) {
    throw versionError(`${said}, which does not go with @vdc-os/core ${coreVersion} on this side: update one of them`);
  }
  return {
    protocol: wireProtocol,
    ...(core === undefined ? {} : { core }),
    providers: readProviders(peer.providers),
  };
}

function versionError(text: string): VdcError {
  return new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_REMOTE_VERSION" });
}

/** Reads a list of providers from a peer. Throws `INVALID_ARGUMENT` for anything else. */
export function readProviders(value: unknown): readonly ProviderInfo[] {
  if (!Array.isArray(value)) throw new VdcError("INVALID_ARGUMENT", "a list of providers is not a list");
  return value.map((entry) => {
    const info = (typeof entry === "object" && entry !== null ? entry : {}) as Partial<
      Record<keyof ProviderInfo, unknown>
    >;
    const { point, version, name, facets } = info;
    if (
      typeof point !== "string" ||
      typeof version !== "string" ||
      typeof name !== "string" ||
      !Array.isArray(facets)
    ) {
      throw new VdcError("INVALID_ARGUMENT", "a provider in a list lacks its point, version, name or facets");
    }
    return { point, version, name, facets: facets.map(String) };
  });
}
