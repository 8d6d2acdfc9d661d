import type { EventBus } from "../event/event-bus.ts";
import type { HookRegistry } from "../event/hook-registry.ts";
import type { DeadlineWatch } from "./deadline-watch.ts";
import type { TurnClock } from "./turn-clock.ts";
import type { PluginPolicy } from "./plugin-policy.ts";
import type { PluginScope } from "./plugin-scope.ts";
import type { CallServices } from "./provider.ts";
import type { ProviderRegistry } from "./provider-registry.ts";

/** What a kernel's parts share. */
export interface KernelServices extends CallServices {
  readonly events: EventBus;
  readonly hooks: HookRegistry;
  readonly providers: ProviderRegistry;
  readonly turn: TurnClock;
  readonly watch: DeadlineWatch;
  /** Which plugins may start. */
  readonly policy: PluginPolicy;
  /** Hears what a plugin says of its health. */
  readonly onDegraded: (scope: PluginScope, reason: string | undefined) => void;
}
