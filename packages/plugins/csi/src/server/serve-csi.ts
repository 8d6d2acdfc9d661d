import { type Handle, type Logger, silentLogger, VdcError } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { type GrpcServer, serveGrpc } from "../grpc/grpc-server.ts";
import { packageVersion } from "../package-version.ts";
import { controllerHandlers } from "./controller-handlers.ts";
import { identityHandlers } from "./identity-handlers.ts";
import { nodeHandlers } from "./node-handlers.ts";
import { NodeRecords } from "./node-records.ts";
import { ProviderCalls } from "./provider-calls.ts";
import { localPresenter, type VolumePresenter } from "./volume-presenter.ts";

/** The node's part of {@link ServeCsiOptions}. */
export interface ServeCsiNode {
  /** The id of this machine: the host's name, by which the provider attaches volumes to it. */
  readonly nodeId: string;
  /** A folder of its own, for records of what is staged and published. It is made when it is absent. */
  readonly directory: string;
  /** Makes volumes into files. Defaults to links and `nbdfuse`. */
  readonly presenter?: VolumePresenter;
}

/** Options of {@link serveCsi}. */
export interface ServeCsiOptions {
  /** The Unix socket. Its mode is 0600. */
  readonly socket: string;
  /** The provider, for services Identity and Controller. Without it this is a node's driver. */
  readonly provider?: Handle<StorageProvider>;
  /** Service Node. Without it this is a controller's driver. */
  readonly node?: ServeCsiNode;
  /** The nodes that volumes can be published on, with `provider`. Defaults to this one. */
  readonly nodeIds?: readonly string[];
  /** The driver's name, as a domain name has it. Defaults to `csi.vdc-os`. */
  readonly driverName?: string;
  /** Whether alpha parts of the specification (`ControllerGetVolume`, volume conditions) are offered. Defaults to `false`. */
  readonly alpha?: boolean;
  /** The largest request that is taken, in bytes. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Defaults to none. */
  readonly logger?: Logger;
}

/** A CSI driver that runs. */
export interface CsiServer extends AsyncDisposable {
  readonly socket: string;
  /** Stops serving. What is published stays so: another server with the same folder goes on with it. */
  close(): Promise<void>;
}

const domainName = /^[a-z0-9A-Z](?:[-.a-z0-9A-Z]{0,61}[a-z0-9A-Z])?$/;

/**
 * Offers a storage provider as a CSI driver (specification 1.12, without its alpha parts) on a Unix socket: to Kubernetes, Nomad, or this package's own
 * storage provider.
 *
 * It keeps no state of its own for volumes: names, sizes and attachments are the provider's. Attachment generations are the time in milliseconds, and
 * always rise; the provider fences what is older.
 */
export async function serveCsi(options: ServeCsiOptions): Promise<CsiServer> {
  const { socket, provider, node, driverName = "csi.vdc-os", logger = silentLogger } = options;
  if (provider === undefined && node === undefined) {
    throw new VdcError("INVALID_ARGUMENT", "a CSI driver needs a 'provider', a 'node', or both");
  }
  if (!domainName.test(driverName)) {
    throw new VdcError("INVALID_ARGUMENT", `'${driverName}' is no driver name: 1 to 63 letters, digits, '-' and '.'`);
  }
  const nodeIds = options.nodeIds ?? (node === undefined ? [] : [node.nodeId]);
  const calls = provider === undefined ? undefined : new ProviderCalls(provider, logger);
  const handlers = [...identityHandlers({ driverName, version: packageVersion }, calls)];
  if (calls !== undefined) {
    const nextGeneration = risingTime();
    handlers.push(...controllerHandlers({ calls, nodeIds, alpha: options.alpha ?? false, nextGeneration }));
  }
  if (node !== undefined) {
    const records = await NodeRecords.open(node.directory);
    const presenter = node.presenter ?? localPresenter();
    handlers.push(...nodeHandlers({ nodeId: node.nodeId, records, presenter }));
  }
  const server: GrpcServer = await serveGrpc({
    socketPath: socket,
    handlers,
    maxMessageBytes: options.maxMessageBytes,
  });
  return { socket, close: () => server.close(), [Symbol.asyncDispose]: () => server.close() };
}

/** The time in milliseconds, and never the same twice. */
function risingTime(): () => number {
  let last = 0;
  return () => {
    last = Math.max(last + 1, Date.now());
    return last;
  };
}
