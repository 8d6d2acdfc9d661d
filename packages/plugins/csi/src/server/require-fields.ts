import { createHash } from "node:crypto";
import { isAbsolute } from "node:path";
import { objectName, VdcError } from "@vdc-os/core";
import type { AccessMode } from "@vdc-os/core/storage/v1";
import { accessModes, type CapacityRange, type VolumeCapability } from "../spec/volume-messages.ts";

/** The longest id that a provider may have given out. What is longer names nothing. */
const maxIdLength = 256;

/** A field that the specification calls REQUIRED. Throws `INVALID_ARGUMENT` when it is empty. */
export function required(value: string, field: string): string {
  if (value !== "") return value;
  throw new VdcError("INVALID_ARGUMENT", `'${field}' is required`);
}

/** A required path. The specification has absolute ones alone. */
export function requiredPath(value: string, field: string): string {
  const path = required(value, field);
  if (isAbsolute(path) && !path.includes("\0")) return path;
  throw new VdcError("INVALID_ARGUMENT", `'${field}' must be an absolute path`);
}

/** Whether an id can name anything at all. */
export function isPossibleId(id: string): boolean {
  return id.length <= maxIdLength;
}

/** A required id. Throws `NOT_FOUND` for one that no provider gave out. */
export function requiredId(value: string, field: string): string {
  const id = required(value, field);
  if (isPossibleId(id)) return id;
  throw new VdcError("NOT_FOUND", `there is no such '${field}': it has ${id.length} characters`);
}

/** Whether a text has characters that names must not have: control characters but blanks (CSI specification, `CreateVolumeRequest.name`). */
function hasControls(text: string): boolean {
  return [...text].some((letter) => {
    const code = letter.charCodeAt(0);
    return (code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) || (code >= 0x7f && code <= 0x9f);
  });
}

/**
 * The provider's name for a name of CSI's. CSI allows any text, a provider 63 letters of a few: a name that does not fit becomes its hash, always
 * the same.
 */
export function providerName(name: string): string {
  if (hasControls(name)) throw new VdcError("INVALID_ARGUMENT", "'name' has control characters");
  if (objectName.safeParse(name).success && !/^csi-[0-9a-f]{40}$/.test(name)) return name;
  return `csi-${createHash("sha256").update(name).digest("hex").slice(0, 40)}`;
}

/** Why a capability can't be had; `undefined` when it can. A volume here is a block device with one owner. */
export function unsupported(capability: VolumeCapability): string | undefined {
  if (capability.mount !== undefined) return "volumes are published as block devices, not as mounted file systems";
  if (capability.block === undefined) return "'access_type' is required";
  const mode = capability.accessMode?.mode ?? 0;
  if (mode === 0) return "'access_mode' is required";
  const supported: readonly number[] = [accessModes.singleNodeWriter, accessModes.singleNodeReaderOnly];
  return supported.includes(mode) ? undefined : `access mode ${mode} is not supported: a volume has one owner`;
}

/** A required capability that can be had. Throws `INVALID_ARGUMENT`. */
export function requiredCapability(capability: VolumeCapability | undefined): VolumeCapability {
  if (capability === undefined) throw new VdcError("INVALID_ARGUMENT", "'volume_capability' is required");
  const reason = unsupported(capability);
  if (reason !== undefined) throw new VdcError("INVALID_ARGUMENT", reason);
  return capability;
}

/** Required capabilities that can all be had. Throws `INVALID_ARGUMENT`. */
export function requiredCapabilities(capabilities: readonly VolumeCapability[]): void {
  if (capabilities.length === 0) throw new VdcError("INVALID_ARGUMENT", "'volume_capabilities' is required");
  for (const capability of capabilities) requiredCapability(capability);
}

/** How a volume of that capability is attached. */
export function accessOf(capability: VolumeCapability, readonly: boolean): AccessMode {
  return readonly || capability.accessMode?.mode === accessModes.singleNodeReaderOnly ? "readOnly" : "readWrite";
}

/** Sizes that a request allows. Throws `INVALID_ARGUMENT` for negative ones, and `OUT_OF_RANGE` when there is none. */
export function allowedSizes(range: CapacityRange | undefined): {
  readonly atLeast: number;
  readonly atMost: number;
} {
  const { requiredBytes = 0, limitBytes = 0 } = range ?? {};
  if (requiredBytes < 0 || limitBytes < 0) {
    throw new VdcError("INVALID_ARGUMENT", "'capacity_range' must not be negative");
  }
  const atMost = limitBytes === 0 ? Number.MAX_SAFE_INTEGER : limitBytes;
  if (requiredBytes > atMost) {
    throw new VdcError("OUT_OF_RANGE", `no size is at least ${requiredBytes} and at most ${atMost} bytes`);
  }
  return { atLeast: requiredBytes, atMost };
}
