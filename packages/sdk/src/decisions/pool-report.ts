import { createHash } from "node:crypto";
import type { Description } from "@vdc-os/core";
import type { CapacityAlarm, PoolCapacity, VolumeHealth } from "@vdc-os/core/storage/v1";
import { capacityCondition, healthyCondition, type StoragePoolStatus } from "../kinds/storage-pool-spec.ts";
import type { ConditionChange } from "../resource/condition.ts";

/** What changes with what a provider says it can do, and with nothing else. */
export function capabilitiesOf({ facets, attributes }: Pick<Description, "facets" | "attributes">): string {
  const known = Object.entries(facets)
    .map(([name, facet]) => (facet.status === "available" ? [name, facet.limits] : [name]))
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  const facts = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([known, facts]))
    .digest("hex")
    .slice(0, 16);
}

/** The worst alarms first. */
const alarmOrder: readonly CapacityAlarm["kind"][] = ["outOfSpace", "metadata", "allocated", "provisioned"];

/** What a pool's numbers mean, as conditions. Pure. */
export function poolConditions(capacity: PoolCapacity, health: VolumeHealth): readonly ConditionChange[] {
  const alarms = [...capacity.alarms].sort((a, b) => alarmOrder.indexOf(a.kind) - alarmOrder.indexOf(b.kind));
  const [worst] = alarms;
  const { condition, message } = health;
  return [
    worst === undefined
      ? { type: capacityCondition, status: "True", reason: "Enough" }
      : {
          type: capacityCondition,
          status: "False",
          reason: `${worst.kind.slice(0, 1).toUpperCase()}${worst.kind.slice(1)}`,
          message: alarms.map((alarm) => alarm.message).join("; "),
        },
    condition === "healthy"
      ? { type: healthyCondition, status: "True", reason: "Healthy" }
      : {
          type: healthyCondition,
          status: "False",
          reason: condition === "degraded" ? "Degraded" : "Abnormal",
          message,
        },
  ];
}

/** Whether what was found differs enough from what is on record: numbers change all the time, and each record is a write to disk. Pure. */
export function isWorthRecording(found: StoragePoolStatus, recorded: StoragePoolStatus): boolean {
  const now = found.capacity;
  const before = recorded.capacity;
  if (now === undefined || before === undefined) return now !== before;
  if (found.capabilities !== recorded.capabilities || found.implementation !== recorded.implementation) return true;
  if (found.health?.condition !== recorded.health?.condition) return true;
  const kinds = ({ alarms }: PoolCapacity): string =>
    alarms.map(({ kind, threshold }) => `${kind} ${threshold}`).join();
  if (kinds(now) !== kinds(before) || (now.staleSince === undefined) !== (before.staleSince === undefined)) return true;
  if (now.totalBytes !== before.totalBytes || now.maxOverSubscription !== before.maxOverSubscription) return true;
  const moved = (a: number, b: number): boolean => Math.abs(a - b) * 100 >= now.totalBytes;
  return moved(now.freeBytes, before.freeBytes) || moved(now.provisionedBytes, before.provisionedBytes);
}
