import type { Clock } from "../context/clock.ts";
import { createOperationContext } from "../context/create-operation-context.ts";
import type { Logger } from "../context/logger.ts";
import type { OperationContext, Random } from "../context/operation-context.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { Contract } from "../extension-point/contract.ts";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";

/** How much of what crosses a contract's boundary is checked against its schemas: all of it, what callers send, or nothing. */
export type Validation = "full" | "inputs" | "none";

/** What calls need from the kernel around them. */
export interface CallServices {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly validation: Validation;
}

/** Options of {@link Provider}. */
export interface ProviderOptions {
  readonly point: AnyExtensionPoint;
  readonly name: string;
  readonly implementation: Contract;
  /** The plugin that provides it. `undefined` for one that the program itself registered. */
  readonly plugin: string | undefined;
  readonly services: CallServices;
}

/**
 * One generation of an implementation under a name: what calls reach until it is replaced or withdrawn, and the count of those
 * that are still on it.
 */
export class Provider {
  readonly point: AnyExtensionPoint;
  readonly name: string;
  readonly implementation: Contract;
  readonly plugin: string | undefined;
  readonly services: CallServices;
  /** How many calls and streams are on it. Kept by the bindings: a plain number, since it changes twice in each call. */
  active = 0;
  retired = false;
  /** Calls that somebody can end early, and watches: told when this generation ends. */
  readonly guards: Set<(error: VdcError) => void> = new Set();
  /** Streams that never end of their own accord: a drain does not wait for them. */
  readonly watches: Set<(error: VdcError) => void> = new Set();
  #controller: AbortController | undefined;
  #aborted: VdcError | undefined;
  #idle: (() => void)[] = [];
  #context: OperationContext | undefined;

  constructor(options: ProviderOptions) {
    this.point = options.point;
    this.name = options.name;
    this.implementation = options.implementation;
    this.plugin = options.plugin;
    this.services = options.services;
  }

  /** Aborts when this generation is ended, for calls that heed it. Made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  /** The context of calls whose caller says nothing about them: one for all of them, so that such a call allocates none. */
  get context(): OperationContext {
    this.#context ??= createOperationContext({}, { ...this.services, server: this });
    return this.#context;
  }

  /** For bindings: a call left a generation that is being drained, and it was the last. */
  becameIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /**
   * Waits until the calls in flight have finished; watches are ended at once, with `UNAVAILABLE`, so that their consumers watch the
   * next generation. Resolves with the number of calls that were still there when `timeoutMs` was over.
   */
  async drain(timeoutMs: number): Promise<number> {
    this.retired = true;
    const replaced = new VdcError("UNAVAILABLE", `${this.describe()} was replaced or withdrawn; watch again`, {
      reason: "VDC_PROVIDER_REPLACED",
      ...(this.plugin === undefined ? {} : { plugin: this.plugin }),
    });
    for (const end of [...this.watches]) end(replaced);
    if (this.active === 0) return 0;
    await new Promise<void>((resolve) => {
      const cancel = this.services.clock.schedule(timeoutMs, resolve);
      this.#idle.push(() => {
        cancel();
        resolve();
      });
    });
    return this.active;
  }

  /** Asks the calls in flight to stop, without giving up on them: their signal aborts. */
  abort(error: VdcError): void {
    this.#aborted ??= error;
    this.#controller?.abort(error);
  }

  /** Ends this generation: its signal aborts, and calls that are still on it reject with the error. */
  end(error: VdcError): void {
    this.retired = true;
    this.abort(error);
    for (const reject of [...this.watches, ...this.guards]) reject(error);
  }

  describe(): string {
    return `provider '${this.name}' of '${this.point.id}'`;
  }
}
