import type { CallOptions, OperationContext } from "../context/operation-context.ts";
import type { VdcError } from "../error/vdc-error.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { ExtensionPoint } from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import type { PluginState } from "../plugin/plugin-state.ts";
import type { FailurePolicy } from "./plugin-registration.ts";

/** What consumers of a kernel use: handles on providers, and contexts for calls. The class `Kernel` adds the lifecycle. */
export interface KernelApi {
  /** A stable handle on a provider; without a name, on the only one there is. Never throws because it is not there: its calls do. */
  get<T extends Contract>(point: ExtensionPoint<T>, name?: string): Handle<T>;
  /** A live directory of a point's providers. */
  all<T extends Contract>(point: ExtensionPoint<T>): Providers<T>;
  /** Registers an implementation that no plugin owns: a remote proxy, a fake. It counts as a provider in the plan. */
  provide<T extends Contract>(point: ExtensionPoint<T>, name: string, implementation: T): Provided;
  /** A context for calls. */
  operation(options?: CallOptions): OperationContext;
}

/** An implementation that was registered with {@link KernelApi.provide}. */
export interface Provided extends AsyncDisposable {
  /** Takes it away again, once the calls in flight have finished. */
  remove(): Promise<void>;
}

/** Where a plugin is in its life. */
export interface PluginStatus {
  readonly id: string;
  readonly policy: FailurePolicy;
  readonly state: PluginState;
  /** Why it is in this state, for people. */
  readonly reason: string;
  /** What a `blocked` plugin waits for. */
  readonly waitsFor: readonly string[];
  /** Why it failed. */
  readonly cause: VdcError | undefined;
}
