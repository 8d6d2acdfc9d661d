import type { EventBus } from "../event/event-bus.ts";
import type { HookRegistry } from "../event/hook-registry.ts";
import type { DeadlineWatch } from "./deadline-watch.ts";
import type { CallServices } from "./provider.ts";
import type { ProviderRegistry } from "./provider-registry.ts";

/** What a kernel's parts share. */
export interface KernelServices extends CallServices {
  readonly events: EventBus;
  readonly hooks: HookRegistry;
  readonly providers: ProviderRegistry;
  readonly watch: DeadlineWatch;
}
