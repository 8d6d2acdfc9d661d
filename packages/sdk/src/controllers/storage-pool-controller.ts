import { type JsonObject, toVdcError } from "@vdc-os/core";
import { type Controller, defineController } from "../controller/define-controller.ts";
import { capabilitiesOf, isWorthRecording, poolConditions } from "../decisions/pool-report.ts";
import { storagePoolKind, type StoragePoolStatus } from "../kinds/storage-pool-spec.ts";
import { findCondition, readyCondition } from "../resource/condition.ts";
import { isBeingDeleted } from "../resource/resource.ts";
import type { DatacenterProviders } from "./providers.ts";

/** How long a provider may take to answer, in milliseconds. */
const timeoutMs = 10_000;

/** Asks each storage provider from time to time how it is, so that whoever watches the objects hears of an alarm without asking. */
export function storagePoolController(providers: DatacenterProviders, intervalMs: number): Controller {
  return defineController({
    kind: storagePoolKind,
    async reconcile(context, { name }) {
      const { object } = context;
      if (object === undefined || isBeingDeleted(object)) return;
      const again = { requeueAfterMs: intervalMs };
      const present = findCondition(object.conditions, readyCondition);
      const seen = present?.observedGeneration === object.metadata.generation ? present : undefined;
      const silent = async (reason: string, message: string): Promise<typeof again> => {
        if (seen?.status === "False" && seen.reason === reason) return again;
        await context.updateStatus({ conditions: [{ type: readyCondition, status: "False", reason, message }] });
        return again;
      };
      if (!providers.storage.has(name)) return silent("ProviderGone", `there is no storage provider '${name}' now`);
      try {
        const storage = providers.storage.get(name);
        const call = { signal: context.signal, timeoutMs };
        const [description, capacity, health] = await Promise.all([
          storage.describe({ scope: {} }, call),
          storage.capacity({}, call),
          storage.health({}, call),
        ]);
        const available = Object.entries(description.facets).filter(([, facet]) => facet.status === "available");
        const found: StoragePoolStatus = {
          capacity,
          health,
          facets: available.map(([facet]) => facet).sort(),
          attributes: description.attributes as JsonObject,
          capabilities: capabilitiesOf(description),
          implementation: `${description.implementation.name} ${description.implementation.version}`,
          observedAt: context.clock.now(),
        };
        if (seen?.status === "True" && !isWorthRecording(found, object.status)) return again;
        const ready = { type: readyCondition, status: "True", reason: "Answers" } as const;
        await context.updateStatus({ status: found, conditions: [ready, ...poolConditions(capacity, health)] });
        return again;
      } catch (error) {
        return silent("Unreachable", toVdcError(error).message);
      }
    },
  });
}
