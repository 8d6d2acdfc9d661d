import type { Volume, VolumeHealth } from "@vdc-os/core/storage/v1";
import type { Condition } from "@vdc-os/sdk";
import { conditionOf, storageNameOf, type VolumeObject } from "../datacenter/volume-object.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { formatTime } from "../terminal/duration.ts";
import { printable } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { formatFacts } from "../terminal/table.ts";

/** A volume as JSON shows it: names and sizes that stay what they are from version to version. */
export interface VolumeView {
  readonly name: string;
  readonly uid: string;
  readonly storage?: string;
  readonly policy?: string;
  readonly volumeId?: string;
  readonly capacityBytes?: number;
  readonly allocatedBytes?: number;
  readonly cloneKind?: string;
  /** Whether a clone shares nothing any more, because it was flattened. Absent where that is not known. */
  readonly standsAlone?: boolean;
  /** The hosts that it can be attached on. Absent when all can. */
  readonly accessibleHosts?: readonly string[];
  readonly attachedTo?: { readonly vm: string; readonly host: string };
  readonly state: string;
  readonly createdAt: number;
}

/** What is shown of a volume, with what its provider says now. */
export function volumeView(
  object: VolumeObject,
  current: Pick<Volume, "allocatedBytes" | "capacityBytes" | "parent"> | undefined,
): VolumeView {
  const { metadata, spec, status } = object;
  const { capacityBytes, allocatedBytes } = { ...status, ...current };
  const storage = storageNameOf(object);
  const { volumeId, cloneKind, attachedTo, accessibleHosts } = status;
  const isLinked = cloneKind === "linked" && current !== undefined;
  return {
    name: metadata.name,
    uid: metadata.uid,
    ...(storage === undefined ? {} : { storage }),
    ...(spec.policy === undefined ? {} : { policy: spec.policy }),
    ...(volumeId === undefined ? {} : { volumeId }),
    ...(capacityBytes === undefined ? {} : { capacityBytes }),
    ...(allocatedBytes === undefined ? {} : { allocatedBytes }),
    ...(cloneKind === undefined ? {} : { cloneKind }),
    ...(isLinked ? { standsAlone: current.parent === undefined } : {}),
    ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
    ...(attachedTo === undefined ? {} : { attachedTo: { vm: attachedTo.vm, host: attachedTo.host } }),
    state: stateOf(object),
    createdAt: metadata.createdAt,
  };
}

/** What a volume is doing, in a word or two. */
export function stateOf(object: VolumeObject): string {
  const { metadata, status } = object;
  if (metadata.deletionRequestedAt !== undefined) return "being removed";
  if (status.move !== undefined) return `moving to '${status.move.to.storage}'`;
  const failed = conditionOf(object, "Failed");
  if (failed?.status === "True") return `failed: ${printable(failed.message ?? failed.reason)}`;
  const ready = conditionOf(object, "Ready");
  return ready?.status === "True" && ready.observedGeneration >= metadata.generation ? "ready" : "being made";
}

/** A size, or what stands for one that is not known. */
export function sizeText(bytes: number | undefined): string {
  return bytes === undefined ? "-" : formatByteSize(bytes);
}

/** A volume's facts, one on a line. */
export function volumeFacts(
  view: VolumeView,
  object: VolumeObject,
  { health, style }: { readonly health: VolumeHealth | undefined; readonly style: Style },
): string {
  const { placement, qos } = object.status;
  const { capacityBytes: size, allocatedBytes: used } = view;
  return formatFacts(
    [
      ["name", style.bold(view.name)],
      ["state", view.state],
      ["health", health === undefined ? undefined : healthFact(health, style)],
      ["storage", view.storage],
      ["policy", view.policy],
      ["because", placement?.reason],
      ["size", sizeText(size)],
      ["used", used === undefined || size === undefined ? undefined : `${sizeText(used)} (${percent(used, size)})`],
      ["content", contentText(object, view.standsAlone === true)],
      ["hosts", view.accessibleHosts?.join(", ")],
      [
        "attached",
        view.attachedTo === undefined ? "no" : `VM '${view.attachedTo.vm}' on host '${view.attachedTo.host}'`,
      ],
      ["limits", qos === undefined ? undefined : `${qos.iops} operations/s, ${qos.bytesPerSecond} bytes/s`],
      ["created", formatTime(view.createdAt)],
      ["id", view.volumeId],
      ...object.conditions.filter(isTrouble).map(troubleFact),
    ],
    style.dim,
  );
}

function healthFact({ condition, message }: VolumeHealth, style: Style): string {
  if (condition === "healthy") return condition;
  return `${(condition === "degraded" ? style.yellow : style.red)(condition)}: ${printable(message)}`;
}

function contentText({ spec, status }: VolumeObject, standsAlone: boolean): string {
  const { content } = spec;
  if (content.kind === "empty") return "empty at first";
  if (content.kind === "file") return `file '${printable(content.path)}' (${content.format})`;
  const source = "volume" in content ? `volume '${content.volume}'` : `snapshot '${content.snapshot}'`;
  return `${status.cloneKind ?? content.want} clone of ${source}${standsAlone ? ", flattened since" : ""}`;
}

function isTrouble({ type, status }: Condition): boolean {
  return (type === "Compliant" && status === "False") || (type === "Failed" && status === "True");
}

function troubleFact({ type, message, reason }: Condition): readonly [string, string] {
  return [type === "Failed" ? "failed" : "policy not met", printable(message ?? reason)];
}

/** A part of a whole: `12%`. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? "0%" : `${Math.round((part / whole) * 100)}%`;
}
