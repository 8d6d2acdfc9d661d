import { resolve } from "node:path";
import { createOperationContext, type Handle, type Logger, type OperationContext, silentLogger } from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { StateStore } from "@vdc-os/core/state/v1";
import type { CsiEndpoint, CsiStorageConfig } from "../config.ts";
import { CsiDriver } from "../driver/csi-driver.ts";
import { DriverConnection } from "../driver/driver-connection.ts";
import type { BackOff } from "../driver/driver-process.ts";
import { SecretValues } from "../driver/secret-values.ts";
import { CsiCatalog } from "./csi-catalog.ts";
import { CsiPublisher } from "./csi-publisher.ts";
import { CsiStorageProvider } from "./csi-storage-provider.ts";
import { sweepSnapshots } from "./snapshots.ts";
import { VolumeEngine } from "./volume-engine.ts";

/** Options of {@link openCsiStorage}. */
export interface OpenCsiStorageOptions {
  readonly config: CsiStorageConfig;
  readonly state: Handle<StateStore>;
  /** Needed where the config names secrets. */
  readonly secrets?: Handle<SecretStore> | undefined;
  /** Defaults to none. */
  readonly logger?: Logger;
  /** Contexts for what is done of its own accord. Defaults to ones that nothing ends. */
  readonly operation?: () => OperationContext;
  /** Pauses between starts of a driver's program. Defaults to 200 ms to 30 s. */
  readonly backOff?: BackOff;
}

/** A storage provider over a CSI driver, and what it holds open. */
export interface CsiStorage extends AsyncDisposable {
  readonly provider: CsiStorageProvider;
  /** Ends the connections, and the drivers that were started. What is published stays so. */
  close(): Promise<void>;
}

/**
 * Opens the provider without a kernel. A driver that can't be reached now does not fail it: calls fail with `UNAVAILABLE` until it answers. What a kill left is finished
 * or undone, as far as the driver can be reached.
 */
export async function openCsiStorage(options: OpenCsiStorageOptions): Promise<CsiStorage> {
  const { config, state, logger = silentLogger, backOff } = options;
  const secrets = new SecretValues(config.secrets ?? {}, options.secrets);
  const { callTimeoutMs = 60_000, maxMessageBytes } = config;
  const bySocket = new Map<string, DriverConnection>();
  // A driver that is controller and node in one has one connection, and one process.
  const connect = (endpoint: CsiEndpoint): DriverConnection => {
    const socket = resolve(endpoint.socket);
    const found =
      bySocket.get(socket) ??
      new DriverConnection({ endpoint: { ...endpoint, socket }, callTimeoutMs, maxMessageBytes, logger, backOff });
    bySocket.set(socket, found);
    return found;
  };
  const driver = new CsiDriver(connect(config.endpoint), secrets);
  const nodes = new Map(config.nodes.map(({ host, endpoint }) => [host, connect(endpoint ?? config.endpoint)]));
  const publisher = new CsiPublisher(driver, nodes, resolve(config.directory));
  const catalog = new CsiCatalog(state, config.name);
  const engine = new VolumeEngine({ config, driver, publisher, catalog, logger });
  const operation = options.operation ?? (() => createOperationContext());
  await sweepSnapshots(engine, logger, operation());
  await engine.sweep(operation());
  const close = async (): Promise<void> => {
    for (const connection of bySocket.values()) await connection.close();
  };
  return { provider: new CsiStorageProvider(engine), close, [Symbol.asyncDispose]: close };
}
