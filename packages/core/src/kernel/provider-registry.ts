import { VdcError } from "../error/vdc-error.ts";
import type { Contract } from "../extension-point/contract.ts";
import { type ContractAdapter, findAdapter } from "../extension-point/contract-adapter.ts";
import {
  type AnyExtensionPoint,
  type ExtensionPoint,
  extensionPointFormat,
  extensionPointFormatOf,
} from "../extension-point/extension-point.ts";
import type { Handle, Providers } from "../extension-point/handle.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";
import { coreVersion } from "../core-version.ts";
import { absentBinding, type Binding, bind, heldBinding } from "./binding.ts";
import { createHandle, type HandleTarget } from "./handle-class.ts";
import type { CallServices, Provider } from "./provider.ts";

/** Options of {@link ProviderRegistry}. */
export interface ProviderRegistryOptions {
  readonly adapters: readonly ContractAdapter[];
  readonly services: CallServices;
  /** Says why a provider is not there: which plugin should provide it, and what that waits for. */
  readonly explain: (point: string, name: string | undefined) => string;
}

/** All providers of one point, and the handles on them. */
interface PointEntry {
  readonly providers: Map<string, Provider>;
  /** Handles by the provider's name; those on the only provider there is under `undefined`. */
  readonly targets: Map<string | undefined, Target[]>;
  /** Names whose provider is just being exchanged. */
  readonly held: Map<string, Promise<void>>;
}

/** Who provides what now, and the stable handles that lead there. */
export class ProviderRegistry {
  readonly #points = new Map<string, PointEntry>();
  readonly #options: ProviderRegistryOptions;

  constructor(options: ProviderRegistryOptions) {
    this.#options = options;
  }

  /** A stable handle: the same one for the same token and name. */
  handle<T extends Contract>(point: ExtensionPoint<T>, name?: string): Handle<T> {
    assertExtensionPoint(point);
    const entry = this.#entry(point.id);
    let targets = entry.targets.get(name);
    if (targets === undefined) {
      targets = [];
      entry.targets.set(name, targets);
    }
    let target = targets.find((other) => other.point === point);
    if (target === undefined) {
      target = new Target(point, name, this.#options.services, (self) => this.#resolve(entry, self));
      targets.push(target);
    }
    return target.handle as Handle<T>;
  }

  /** A live directory of a point's providers, without those that `hides` says are not for its user. */
  directory<T extends Contract>(
    point: ExtensionPoint<T>,
    hides: (name: string) => boolean = () => false,
  ): Providers<T> {
    assertExtensionPoint(point);
    const names = (): readonly string[] => this.names(point.id).filter((name) => !hides(name));
    const has = (name: string): boolean => this.get(point.id, name) !== undefined && !hides(name);
    const get = (name: string): Handle<T> => {
      if (has(name)) return this.handle(point, name);
      const there = names();
      const list = there.length === 0 ? "there is none" : `there is '${there.join("', '")}'`;
      throw new VdcError("NOT_FOUND", `'${point.id}' has no provider '${name}': ${list}`, {
        details: { point: point.id, provider: name, there },
      });
    };
    return { get, has, names };
  }

  /** The names of a point's providers, sorted. */
  names(point: string): readonly string[] {
    return [...(this.#points.get(point)?.providers.keys() ?? [])].sort();
  }

  get(point: string, name: string): Provider | undefined {
    return this.#points.get(point)?.providers.get(name);
  }

  /** Makes a provider reachable, in place of the one that has its name. */
  add(provider: Provider): void {
    const entry = this.#entry(provider.point.id);
    entry.providers.set(provider.name, provider);
    retarget(entry, provider.name);
  }

  /** Takes a provider away, unless another has taken its place already. */
  remove(provider: Provider): void {
    const entry = this.#entry(provider.point.id);
    if (entry.providers.get(provider.name) !== provider) return;
    entry.providers.delete(provider.name);
    retarget(entry, provider.name);
  }

  /** Lets calls of a name wait, until the function that it returns is called. */
  hold(point: string, name: string): () => void {
    const entry = this.#entry(point);
    const { promise, resolve } = Promise.withResolvers<void>();
    entry.held.set(name, promise);
    retarget(entry, name);
    return () => {
      if (entry.held.get(name) !== promise) return;
      entry.held.delete(name);
      retarget(entry, name);
      resolve();
    };
  }

  #entry(point: string): PointEntry {
    let entry = this.#points.get(point);
    if (entry === undefined) {
      entry = { providers: new Map(), targets: new Map(), held: new Map() };
      this.#points.set(point, entry);
    }
    return entry;
  }

  /** What a handle refers to now. */
  #resolve(entry: PointEntry, { point, requested }: Target): Resolution {
    const names = requested === undefined ? [...entry.providers.keys()] : [requested];
    const [name] = names;
    const held =
      requested === undefined && entry.held.size > 0 ? [...entry.held.values()][0] : entry.held.get(requested ?? "");
    if (held !== undefined) return { held };
    if (names.length > 1) {
      const list = names.sort().join("', '");
      return {
        error: () =>
          new VdcError("FAILED_PRECONDITION", `'${point.id}' has several providers: say which of '${list}' is meant`, {
            reason: "VDC_PROVIDER_AMBIGUOUS",
          }),
      };
    }
    const provider = name === undefined ? undefined : entry.providers.get(name);
    if (provider === undefined) {
      return {
        error: () =>
          new VdcError("UNAVAILABLE", this.#options.explain(point.id, requested), {
            reason: "VDC_PROVIDER_UNAVAILABLE",
            details: { point: point.id, ...(requested === undefined ? {} : { provider: requested }) },
          }),
      };
    }
    if (isContractCompatible(point.version, provider.point.version)) {
      return { provider, implementation: provider.implementation };
    }
    const adapter = findAdapter(this.#options.adapters, point.id, point.version, provider.point.version);
    if (adapter !== undefined) return { provider, implementation: adapter.adapt(provider.implementation) };
    return {
      error: () =>
        new VdcError(
          "FAILED_PRECONDITION",
          `${provider.describe()} implements version ${provider.point.version}, and version ${point.version} is required`,
          { reason: "VDC_CONTRACT_INCOMPATIBLE" },
        ),
    };
  }
}

type Resolution =
  | { readonly provider: Provider; readonly implementation: Contract }
  | { readonly held: Promise<void> }
  | { readonly error: () => VdcError };

/** Refuses a token of another shape, with a message that names both sides. */
export function assertExtensionPoint(point: AnyExtensionPoint): void {
  const format = extensionPointFormatOf(point);
  if (format === extensionPointFormat) return;
  const id = (point as { readonly id?: unknown } | undefined)?.id;
  if (format === undefined) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `'${String(id)}' is not an extension point: make it with defineExtensionPoint`,
    );
  }
  throw new VdcError(
    "FAILED_PRECONDITION",
    `extension point '${String(id)}' was defined by another copy of @vdc-os/core, in token format ${format}; this one, ${coreVersion}, reads format ${extensionPointFormat}: install one version for all`,
    { reason: "VDC_CORE_COPIES" },
  );
}

function retarget(entry: PointEntry, name: string): void {
  for (const target of entry.targets.get(name) ?? []) target.update();
  for (const target of entry.targets.get(undefined) ?? []) target.update();
}

/** The changing side of a handle. */
class Target implements HandleTarget {
  readonly point: AnyExtensionPoint;
  readonly requested: string | undefined;
  readonly handle: object;
  bindings: readonly Binding[] = [];
  #resolution: Resolution = { held: Promise.resolve() };
  readonly #facets = new Map<string, readonly Binding[]>();
  readonly #services: CallServices;
  readonly #resolve: (self: Target) => Resolution;

  constructor(
    point: AnyExtensionPoint,
    requested: string | undefined,
    services: CallServices,
    resolve: (self: Target) => Resolution,
  ) {
    this.point = point;
    this.requested = requested;
    this.#services = services;
    this.#resolve = resolve;
    this.update();
    this.handle = createHandle(this);
  }

  get name(): string {
    if (this.requested !== undefined) return this.requested;
    return "provider" in this.#resolution ? this.#resolution.provider.name : "(none)";
  }

  update(): void {
    this.#resolution = this.#resolve(this);
    this.#facets.clear();
    const implementation = "provider" in this.#resolution ? this.#resolution.implementation : undefined;
    this.bindings = this.#bind(this.point.operations, implementation, "", () => this.bindings);
  }

  hasFacet(facet: string): boolean {
    if (!("provider" in this.#resolution)) return false;
    return (this.#resolution.implementation.facets as Record<string, unknown> | undefined)?.[facet] !== undefined;
  }

  facetBindings(facet: string): readonly Binding[] {
    let bindings = this.#facets.get(facet);
    if (bindings === undefined) {
      const facets = "provider" in this.#resolution ? this.#resolution.implementation.facets : undefined;
      const target = (facets as Record<string, object> | undefined)?.[facet];
      bindings = this.#bind(this.point.facets[facet] ?? {}, target, `${facet}.`, () => this.facetBindings(facet));
      this.#facets.set(facet, bindings);
    }
    return bindings;
  }

  #bind(
    operations: Readonly<Record<string, OperationDefinition>>,
    target: object | undefined,
    prefix: string,
    current: () => readonly Binding[],
  ): readonly Binding[] {
    const resolution = this.#resolution;
    return Object.entries(operations).map(([operation, definition], index) => {
      if ("provider" in resolution) {
        return bind({ provider: resolution.provider, target, path: `${prefix}${operation}`, operation, definition });
      }
      if ("held" in resolution) {
        return heldBinding(definition, resolution.held, () => current()[index] as Binding, this.#services);
      }
      return absentBinding(definition, resolution.error);
    });
  }
}
