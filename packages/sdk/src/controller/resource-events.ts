import { defineEvent, type EventToken } from "@vdc-os/core";
import { z } from "zod";
import type { Resource } from "../resource/resource.ts";
import type { TaskRecord } from "../task/task-record.ts";

/** A change of an object, as consumers hear of it. */
export interface ResourceChange {
  readonly type: "added" | "modified" | "deleted";
  /** The object as it is, or last was. */
  readonly object: Resource;
}

/** An object was added, modified or deleted. What is told is where things ended: quick changes may be told as one. */
export const resourceChanged: EventToken<ResourceChange> = defineEvent<ResourceChange>({
  id: "vdc.resource.changed",
  version: "1.0",
  summary: "An object of the datacenter was added, modified or deleted.",
  payload: z.object({
    type: z.enum(["added", "modified", "deleted"]),
    object: z.looseObject({ kind: z.string() }),
  }) as unknown as z.ZodType<ResourceChange>,
});

/** A task began, ended, or has come further. Progress is told at most a few times a second. */
export const taskChanged: EventToken<TaskRecord> = defineEvent<TaskRecord>({
  id: "vdc.task.changed",
  version: "1.0",
  summary: "A task began, ended, or has come further.",
  payload: z.looseObject({ id: z.string(), state: z.string() }) as unknown as z.ZodType<TaskRecord>,
});

/** Where events go: an `EventBus` is one. */
export interface EventSink {
  emit<Payload>(event: EventToken<Payload>, payload: Payload): void;
}
