import { type Json, type JsonObject, VdcError } from "@vdc-os/core";
import type { KeyValue } from "@vdc-os/core/state/v1";
import { toJson } from "./field-path.ts";
import type { Kind } from "./kind.ts";
import type { Resource } from "./resource.ts";

/**
 * The object that an entry of the state store holds, converted to the kind's current `apiVersion`.
 *
 * Fails with `FAILED_PRECONDITION`, reason `VDC_API_VERSION_UNKNOWN`, when there is no conversion (the entry was written by a newer
 * release), and with `DATA_LOSS`, reason `VDC_CONVERSION_FAILED`, when the converted content does not match the kind's schemas.
 */
export function decodeResource<Spec, Status, Input>(
  kind: Kind<Spec, Status, Input>,
  entry: KeyValue,
): Resource<Spec, Status> {
  const stored = entry.value as unknown as Resource<Spec, Status>;
  const metadata = { ...stored.metadata, revision: entry.modRevision };
  if (stored.apiVersion === kind.apiVersion) return { ...stored, metadata };
  const convert = kind.convert?.[stored.apiVersion];
  if (convert === undefined) {
    throw new VdcError(
      "FAILED_PRECONDITION",
      `'${entry.key}' was stored as apiVersion '${stored.apiVersion}' of kind '${kind.kind}', which this release ('${kind.apiVersion}') cannot convert`,
      { reason: "VDC_API_VERSION_UNKNOWN", details: { key: entry.key, apiVersion: stored.apiVersion } },
    );
  }
  const content = convert({
    spec: stored.spec as unknown as JsonObject,
    status: stored.status as unknown as JsonObject,
  });
  const spec = kind.spec.safeParse(content.spec);
  const status = kind.status.safeParse(content.status);
  if (!spec.success || !status.success) {
    throw new VdcError(
      "DATA_LOSS",
      `converting '${entry.key}' from '${stored.apiVersion}' to '${kind.apiVersion}' gave content that its schema refuses`,
      { reason: "VDC_CONVERSION_FAILED", cause: spec.error ?? status.error, details: { key: entry.key } },
    );
  }
  return { ...stored, apiVersion: kind.apiVersion, metadata, spec: spec.data, status: status.data };
}

/** The value that is stored for an object. */
export function encodeResource(object: Resource): Json {
  return toJson({ ...object, metadata: { ...object.metadata, revision: 0 } });
}
