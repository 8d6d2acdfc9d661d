import { objectName, VdcError } from "@vdc-os/core";
import type { FieldConflict } from "../resource/field-owner.ts";
import type { ObjectKey } from "../resource/resource.ts";

const nameOf = (kind: string, { tenant, name }: ObjectKey): string => `${kind} '${name}' of tenant '${tenant}'`;

/** Throws `INVALID_ARGUMENT` unless tenant and name are well-formed. */
export function assertKey(kind: string, key: ObjectKey): void {
  for (const [what, value] of [
    ["name", key.name],
    ["tenant", key.tenant],
  ] as const) {
    if (objectName.safeParse(value).success) continue;
    const rule = "1 to 63 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit";
    throw new VdcError(
      "INVALID_ARGUMENT",
      `'${String(value).slice(0, 80)}' is no ${what} for a ${kind}: it must be ${rule}`,
      {
        reason: "VDC_NAME_INVALID",
      },
    );
  }
}

export const notFound = (kind: string, key: ObjectKey): VdcError =>
  new VdcError("NOT_FOUND", `there is no ${nameOf(kind, key)}`);

export const alreadyExists = (kind: string, key: ObjectKey): VdcError =>
  new VdcError(
    "ALREADY_EXISTS",
    `there is a ${nameOf(kind, key)} with another spec: update it, or choose another name`,
  );

export const beingDeleted = (kind: string, key: ObjectKey): VdcError =>
  new VdcError("ABORTED", `${nameOf(kind, key)} is being deleted: try again once it is gone`, {
    reason: "VDC_BEING_DELETED",
  });

export const changedMeanwhile = (kind: string, key: ObjectKey, part: "object" | "spec" | "status"): VdcError =>
  new VdcError("ABORTED", `the ${part} of ${nameOf(kind, key)} was changed meanwhile: read it again`, {
    reason: "VDC_CHANGED_MEANWHILE",
  });

export const fieldConflict = (kind: string, key: ObjectKey, conflicts: readonly FieldConflict[]): VdcError => {
  const fields = conflicts.map(({ path, owner }) => `'${path}' (held by '${owner}')`).join(", ");
  return new VdcError(
    "FAILED_PRECONDITION",
    `${nameOf(kind, key)}: other owners hold ${fields}; force it to take them`,
    {
      reason: "VDC_FIELD_CONFLICT",
      details: { conflicts: conflicts.map((conflict) => ({ ...conflict })) },
    },
  );
};
