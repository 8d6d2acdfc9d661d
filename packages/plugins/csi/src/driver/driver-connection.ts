import { createOperationContext, isVdcError, type Logger, type OperationContext, VdcError } from "@vdc-os/core";
import type { CsiEndpoint } from "../config.ts";
import { GrpcChannel } from "../grpc/grpc-channel.ts";
import type { Sparse } from "../grpc/message.ts";
import type { Method } from "../grpc/method.ts";
import { controller } from "../spec/controller-service.ts";
import { identity, pluginServices, type RpcCapabilities, volumeExpansions } from "../spec/identity-service.ts";
import { type NodeInfo, node } from "../spec/node-service.ts";
import { type BackOff, DriverProcess } from "./driver-process.ts";

/** What a driver says of itself in its three capability calls, and `GetPluginInfo`. */
export interface DriverFacts {
  readonly name: string;
  readonly version: string;
  readonly hasController: boolean;
  readonly hasConstraints: boolean;
  /** Whether volumes grow while they are published. */
  readonly expandsOnline: boolean;
  readonly controllerRpcs: ReadonlySet<number>;
  readonly nodeRpcs: ReadonlySet<number>;
  /** Absent where there is no service Node. */
  readonly node: NodeInfo | undefined;
}

/** Options of {@link DriverConnection}. */
export interface DriverConnectionOptions {
  readonly endpoint: CsiEndpoint;
  readonly callTimeoutMs: number;
  readonly maxMessageBytes?: number | undefined;
  readonly logger: Logger;
  /** Pauses between starts of the program. Defaults to 200 ms to 30 s. */
  readonly backOff?: BackOff | undefined;
}

/** How long the calls may take that say whether the driver is well. */
const probeTimeoutMs = 10_000;

/** A driver on a socket: probed before it is used, and again after it was lost; started, where it has a program. */
export class DriverConnection {
  readonly #options: DriverConnectionOptions;
  readonly #channel: GrpcChannel;
  readonly #process: DriverProcess | undefined;
  #facts: DriverFacts | undefined;
  #probing: Promise<DriverFacts> | undefined;
  #lost = true;

  constructor(options: DriverConnectionOptions) {
    const { endpoint, maxMessageBytes, logger, backOff } = options;
    this.#options = options;
    this.#channel = new GrpcChannel({ socketPath: endpoint.socket, maxMessageBytes });
    const { command } = endpoint;
    this.#process =
      command === undefined ? undefined : new DriverProcess({ ...endpoint, command }, { logger, backOff });
  }

  /** What the driver said when it was last reached. */
  get lastFacts(): DriverFacts | undefined {
    return this.#facts;
  }

  /** What the driver says of itself. Probes it when it was not reached yet, or was lost. Throws `UNAVAILABLE` while it is not ready. */
  async facts(context: OperationContext): Promise<DriverFacts> {
    if (!this.#lost && this.#facts !== undefined) return this.#facts;
    // Shared by all who wait, so it has a time limit of its own, and nobody's cancellation ends it for the others.
    this.#probing ??= this.#probe(createOperationContext({ timeoutMs: probeTimeoutMs })).finally(() => {
      this.#probing = undefined;
    });
    return untilAborted(this.#probing, context.signal);
  }

  /** Calls the driver. Errors keep the driver's code; see `GrpcChannel` for those of the way there. */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Sparse<Request>,
    context: OperationContext,
  ): Promise<Response> {
    await this.facts(context);
    try {
      return await this.#ask(method, request, context, this.#options.callTimeoutMs);
    } catch (error) {
      // It may be another one when it is back.
      if (isVdcError(error) && error.reason === "VDC_CSI_UNREACHABLE") this.#lost = true;
      throw error;
    }
  }

  /** Asks whether the driver is well now. */
  async probe(context: OperationContext): Promise<void> {
    this.#lost = true;
    await this.facts(context);
  }

  async close(): Promise<void> {
    this.#channel.close();
    await this.#process?.close();
  }

  async #probe(context: OperationContext): Promise<DriverFacts> {
    await this.#process?.ensure(context.signal);
    const ask = <Response>(method: Method<object, Response>): Promise<Response> =>
      this.#ask(method, {}, context, probeTimeoutMs);
    const { ready } = await ask(identity.probe);
    if (ready?.value === false) {
      throw new VdcError("UNAVAILABLE", `the CSI driver on '${this.#channel.socketPath}' is not ready yet`, {
        reason: "VDC_CSI_NOT_READY",
      });
    }
    const info = await ask(identity.getPluginInfo);
    const { capabilities } = await ask(identity.getPluginCapabilities);
    const services = new Set(capabilities.flatMap(({ service }) => service?.type ?? []));
    const expansions = capabilities.flatMap(({ volumeExpansion }) => volumeExpansion?.type ?? []);
    const hasController = services.has(pluginServices.controller);
    const nodeInfo = await optional(ask(node.getInfo));
    const facts: DriverFacts = {
      name: info.name.slice(0, 63),
      version: info.vendorVersion.slice(0, 128),
      hasController,
      hasConstraints: services.has(pluginServices.accessibilityConstraints),
      expandsOnline: expansions.includes(volumeExpansions.online),
      controllerRpcs: hasController ? rpcsOf(await ask(controller.getCapabilities)) : new Set(),
      nodeRpcs: nodeInfo === undefined ? new Set() : rpcsOf(await ask(node.getCapabilities)),
      node: nodeInfo,
    };
    this.#facts = facts;
    this.#lost = false;
    return facts;
  }

  #ask<Request, Response>(
    method: Method<Request, Response>,
    request: Sparse<Request>,
    context: OperationContext,
    limitMs: number,
  ): Promise<Response> {
    const leftMs = context.deadline === undefined ? limitMs : context.deadline - context.clock.monotonic();
    const timeoutMs = Math.max(1, Math.min(limitMs, leftMs));
    return this.#channel.call(method, request, { timeoutMs, signal: context.signal });
  }
}

/** What a promise resolves to, for a caller who may give up before. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function rpcsOf({ capabilities }: RpcCapabilities): ReadonlySet<number> {
  return new Set(capabilities.flatMap(({ rpc }) => rpc?.type ?? []));
}

/** A service that a driver does not have. */
async function optional<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isVdcError(error, "UNIMPLEMENTED")) return undefined;
    throw error;
  }
}
