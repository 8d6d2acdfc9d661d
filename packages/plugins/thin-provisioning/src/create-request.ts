import { VdcError } from "@vdc-os/core";
import type { CreateVolume } from "@vdc-os/core/storage/v1";
import { secretRefOf } from "./key-reference.ts";
import type { VolumeRequest } from "./volume-record.ts";

/** The largest volume: what an image of 64 KiB clusters holds with an L1 table that every tool reads. */
export const maxCapacityBytes: number = 2 ** 51;

const sectorBytes = 512;
const clusterSizes = ["4096", "16384", "65536", "262144", "1048576", "2097152"];

/** Throws `OUT_OF_RANGE` for a size that no volume can have. */
export function assertVolumeSize(capacityBytes: number): void {
  if (capacityBytes > 0 && capacityBytes <= maxCapacityBytes && capacityBytes % sectorBytes === 0) return;
  throw new VdcError(
    "OUT_OF_RANGE",
    `a volume has 512 to ${maxCapacityBytes} bytes, in multiples of ${sectorBytes}: ${capacityBytes} is refused`,
    { reason: "VDC_VOLUME_SIZE", details: { capacityBytes, maxCapacityBytes, multipleOf: sectorBytes } },
  );
}

/** What a `createVolume` asks for, after defaults. Throws `INVALID_ARGUMENT` for unknown parameters. */
export function emptyVolumeRequest(input: CreateVolume): VolumeRequest {
  assertVolumeSize(input.capacityBytes);
  const parameters = { ...input.parameters };
  for (const [name, value] of Object.entries(parameters)) {
    if (name === "clusterBytes" && clusterSizes.includes(value)) continue;
    if (name === "detectZeroes" && (value === "true" || value === "false")) continue;
    if (name === "encryption" && value === "luks") continue;
    if (name === "keyRef" && secretRefOf(value) !== undefined) continue;
    throw new VdcError(
      "INVALID_ARGUMENT",
      `parameter '${name}' = '${value}' is not known: there are 'clusterBytes' with ${clusterSizes.join(", ")}, 'detectZeroes' with true, false, 'encryption' with luks, and 'keyRef'`,
      { reason: "VDC_UNKNOWN_PARAMETER", details: { name } },
    );
  }
  if (parameters.clusterBytes === "65536") delete parameters.clusterBytes;
  if (parameters.detectZeroes === "false") delete parameters.detectZeroes;
  // To name a key is to ask for encryption.
  if (parameters.keyRef !== undefined) parameters.encryption = "luks";
  const hosts = input.accessibleHosts;
  return {
    kind: "empty",
    capacityBytes: input.capacityBytes,
    owner: input.owner,
    parameters,
    accessibleHosts: hosts === undefined ? undefined : [...new Set(hosts)].sort(),
  };
}
