/**
 * Where a plugin is in its life. The kernel holds it, not the plugin.
 *
 * - `registered`: known, nothing of it has run;
 * - `blocked`: it waits for something, and says for what;
 * - `starting`: its config is checked, its `setup` runs;
 * - `ready`: its providers can be called;
 * - `degraded`: the same, but it says that it does not work wholly;
 * - `failed`: it could not be started, or not be replaced; all that it had acquired was released;
 * - `stopping`: it releases what it acquired;
 * - `stopped`: it has released everything.
 */
export type PluginState =
  | "registered"
  | "blocked"
  | "starting"
  | "ready"
  | "degraded"
  | "failed"
  | "stopping"
  | "stopped";

/** Every state, in the order of a life. */
export const pluginStates: readonly [PluginState, ...PluginState[]] = [
  "registered",
  "blocked",
  "starting",
  "ready",
  "degraded",
  "failed",
  "stopping",
  "stopped",
];
