import { type OperationContext, VdcError } from "@vdc-os/core";
import type { CsiStorageConfig } from "../config.ts";
import { type CsiDriver, capability } from "../driver/csi-driver.ts";
import { controller } from "../spec/controller-service.ts";
import { type CsiCatalog, isThere } from "./csi-catalog.ts";

/** What the space is counted with. */
interface Pool {
  readonly config: CsiStorageConfig;
  readonly driver: CsiDriver;
  readonly catalog: CsiCatalog;
}

/** What is promised to volumes, and what can still be: the driver's `GetCapacity`, or what is left of the configured size. */
export async function spaceOf(
  { config, driver, catalog }: Pool,
  context: OperationContext,
): Promise<{ readonly freeBytes: number; readonly provisionedBytes: number }> {
  const records = (await catalog.volumes.all(context)).map(({ value }) => value).filter(isThere);
  const provisionedBytes = records.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  const told = await toldByDriver({ config, driver, catalog }, context);
  if (told !== undefined) return { freeBytes: told, provisionedBytes };
  if (config.capacityBytes !== undefined) {
    return { freeBytes: Math.max(0, config.capacityBytes - provisionedBytes), provisionedBytes };
  }
  throw new VdcError(
    "INTERNAL",
    "the CSI driver does not tell its capacity: set 'capacityBytes' in this provider's config",
    { reason: "VDC_CSI_NO_CAPACITY" },
  );
}

/** Throws `OUT_OF_RANGE` for a size that is none, and `RESOURCE_EXHAUSTED` when that much more can't be promised. */
export async function mustFit(pool: Pool, bytes: number, context: OperationContext): Promise<void> {
  if (bytes <= 0) throw new VdcError("OUT_OF_RANGE", `a volume can't have ${bytes} bytes`);
  const { config, driver } = pool;
  // Nobody knows: the driver decides.
  if (config.capacityBytes === undefined && !(await driver.can("getCapacity", context))) return;
  const { freeBytes } = await spaceOf(pool, context);
  if (bytes <= freeBytes) return;
  throw new VdcError(
    "RESOURCE_EXHAUSTED",
    `${bytes} bytes do not fit into pool '${config.name}': ${freeBytes} are left`,
    {
      details: { freeBytes },
    },
  );
}

async function toldByDriver({ config, driver }: Pool, context: OperationContext): Promise<number | undefined> {
  if (!(await driver.can("getCapacity", context))) return undefined;
  const request = { volumeCapabilities: [capability(false)], parameters: { ...config.parameters } };
  return Math.max(0, (await driver.connection.call(controller.getCapacity, request, context)).availableCapacity);
}
