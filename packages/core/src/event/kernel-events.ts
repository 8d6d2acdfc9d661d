import { z } from "zod";
import { type PluginState, pluginStates } from "../plugin/plugin-state.ts";
import { schemaOf } from "../schema/schema-of.ts";
import { defineEvent, type EventToken } from "./event-token.ts";

/** One transition of one plugin. */
export interface PluginStateChange {
  /** The plugin instance's id. */
  readonly plugin: string;
  /** `undefined` for a listener that came late and gets the current state. */
  readonly from: PluginState | undefined;
  readonly to: PluginState;
  /** Why, for people. */
  readonly reason: string;
  /** What a `blocked` plugin waits for. Empty in other states. */
  readonly waitsFor: readonly string[];
}

/** A plugin changed its state. A listener that comes late gets the current state of every plugin at once. */
export const pluginStateChanged: EventToken<PluginStateChange> = defineEvent<PluginStateChange>({
  id: "vdc.plugin.state",
  version: "1.0",
  summary: "A plugin changed its state.",
  payload: schemaOf<PluginStateChange>()(
    z.object({
      plugin: z.string(),
      from: z.union([z.enum(pluginStates), z.undefined()]),
      to: z.enum(pluginStates),
      reason: z.string(),
      waitsFor: z.array(z.string()),
    }),
  ),
  latestBy: (change) => change.plugin,
});

/** A listener or hook that threw, or rejected. */
export interface ListenerFailure {
  /** Who listened. `undefined` for the program around the kernel. */
  readonly plugin: string | undefined;
  /** The event's or hook's id. */
  readonly source: string;
  readonly message: string;
}

/** A listener failed. It harmed nobody else. */
export const listenerFailed: EventToken<ListenerFailure> = defineEvent<ListenerFailure>({
  id: "vdc.listener.failed",
  version: "1.0",
  summary: "A listener threw, or rejected; the others were not affected.",
  payload: schemaOf<ListenerFailure>()(
    z.object({
      plugin: z.union([z.string(), z.undefined()]),
      source: z.string(),
      message: z.string(),
    }),
  ),
});
