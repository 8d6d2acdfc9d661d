import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  refuseWhenOver,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import type {
  CloudConnector,
  CloudFacets,
  CloudImage,
  CloudInstance,
  CloudNetwork,
  CloudOperation,
  CreateInstance,
  CredentialReport,
  InstanceObservation,
  Offering,
} from "@vdc-os/core/cloud/v1";

/** An account: what outlives a connector. */
export interface MemoryCloudAccount {
  readonly instances: Map<string, CloudInstance>;
  readonly operations: Map<string, CloudOperation>;
  /** How many instances there have been. */
  made: number;
  /** The next create is done, and its answer does not arrive. */
  loseNextAnswer: boolean;
  /** Told of each instance that was made. */
  readonly watchers: Set<(instance: CloudInstance) => void>;
}

const sizes = ["small", "large"];
const regions = ["here", "there"];

/**
 * The smallest cloud that meets the contract, in memory. The suite is proved with it; tests may use it as a fake. What is on its way
 * arrives when somebody looks.
 */
export class MemoryCloud implements CloudConnector {
  readonly account: MemoryCloudAccount;
  readonly facets: Required<Pick<CloudFacets, "power" | "pricing" | "quotas" | "events">>;
  readonly #known: boolean;

  constructor(options: { readonly account?: MemoryCloudAccount; readonly knownCredentials?: boolean } = {}) {
    this.account = options.account ?? {
      instances: new Map(),
      operations: new Map(),
      made: 0,
      loseNextAnswer: false,
      watchers: new Set(),
    };
    this.#known = options.knownCredentials ?? true;
    this.facets = {
      power: {
        startInstance: async ({ instanceId }, context) => this.#power(instanceId, "running", context),
        stopInstance: async ({ instanceId }, context) => this.#power(instanceId, "stopped", context),
      },
      pricing: {
        async price({ size }) {
          if (!sizes.includes(size)) throw new VdcError("NOT_FOUND", `there is no size '${size}'`);
          return { perHour: 1, currency: "EUR" };
        },
      },
      quotas: { quotas: async () => [{ name: "instances", used: this.account.instances.size, limit: 100 }] },
      events: { watchInstances: (input, context) => this.#watch(input.ownerDatacenter, context) },
    };
  }

  async describe(): Promise<Description> {
    const available = { status: "available", limits: {}, evidence: "in memory" } as const;
    return {
      implementation: { name: "memory", version: "1.0.0", simulated: true },
      facets: { power: available, pricing: available, quotas: available, events: available },
      attributes: { regions, stamp: "same-request" },
    };
  }

  async checkCredentials(): Promise<CredentialReport> {
    this.#open();
    return { identity: "somebody", missingPermissions: [] };
  }

  async listOfferings(input: PageRequest & { readonly region?: string }): Promise<Page<Offering>> {
    this.#open();
    const all = regions.flatMap((region) =>
      sizes.map((size) => ({ size, region, cpus: 1, memoryBytes: 1 << 30, available: true })),
    );
    return page(
      all.filter(({ region }) => input.region === undefined || region === input.region),
      input,
    );
  }

  async listImages(input: PageRequest & { readonly name?: string }): Promise<Page<CloudImage>> {
    this.#open();
    const all = ["debian", "alpine"].map((name) => ({ imageId: `image-${name}`, name }));
    return page(
      all.filter(({ name }) => input.name === undefined || name === input.name),
      input,
    );
  }

  async listNetworks(input: PageRequest): Promise<Page<CloudNetwork>> {
    this.#open();
    return page(
      ["inside", "outside"].map((name) => ({ networkId: name, name })),
      input,
    );
  }

  async createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance> {
    refuseWhenOver(context);
    const { instances } = this.#open();
    const { name, image, size, region = "here", stamp } = input;
    const made = [...instances.values()].find((instance) => instance.stamp?.token === stamp.token);
    if (made !== undefined) return made;
    if (image !== "debian") throw new VdcError("NOT_FOUND", `there is no image '${image}'`);
    if (!sizes.includes(size)) throw new VdcError("NOT_FOUND", `there is no size '${size}'`);
    this.account.made += 1;
    const instanceId = `i-${this.account.made}`;
    const common = { instanceId, name, image, size, region, addresses: [], createdAt: 1_000, stamp };
    const instance: CloudInstance = { ...common, state: "pending" };
    instances.set(instanceId, instance);
    for (const tell of this.account.watchers) tell(instance);
    if (this.account.loseNextAnswer) {
      this.account.loseNextAnswer = false;
      throw new VdcError("UNAVAILABLE", "the answer was lost");
    }
    return instance;
  }

  async observeInstance({
    by,
  }: {
    readonly by: { readonly instanceId: string } | { readonly token: string };
  }): Promise<InstanceObservation> {
    const found = this.#settled().filter((instance) =>
      "token" in by ? instance.stamp?.token === by.token : instance.instanceId === by.instanceId,
    );
    const [instance] = found;
    if (instance === undefined) return { state: "absent" };
    if (found.length > 1) return { state: "ambiguous", instances: found, reason: "several carry the token" };
    return { state: "present", instance };
  }

  async removeInstance(
    { instanceId }: { readonly instanceId: string },
    context: OperationContext,
  ): Promise<CloudOperation> {
    refuseWhenOver(context);
    const { instances, operations } = this.#open();
    const operationId = `o-${operations.size}`;
    const instance = instances.get(instanceId);
    const state = instance === undefined ? "succeeded" : "running";
    if (instance !== undefined) instances.set(instanceId, { ...instance, state: "deleting" });
    operations.set(operationId, { operationId, state });
    return { operationId, state };
  }

  async listInstances(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly changedSince?: number },
  ): Promise<Page<CloudInstance>> {
    const { ownerDatacenter, changedSince = 0 } = input;
    return page(
      this.#settled().filter(
        ({ stamp, createdAt }) =>
          createdAt >= changedSince && (ownerDatacenter === undefined || stamp?.owner.datacenter === ownerDatacenter),
      ),
      input,
    );
  }

  async getOperation({ operationId }: { readonly operationId: string }): Promise<CloudOperation> {
    this.#settled();
    const found = this.account.operations.get(operationId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no operation '${operationId}'`);
    return found;
  }

  #open(): MemoryCloudAccount {
    if (this.#known) return this.account;
    throw new VdcError("UNAUTHENTICATED", "the cloud does not know these credentials");
  }

  /** What is on its way has arrived. */
  #settled(): readonly CloudInstance[] {
    const { instances, operations } = this.#open();
    for (const [id, instance] of instances) {
      if (instance.state === "pending") instances.set(id, { ...instance, state: "running" });
      if (instance.state === "deleting") instances.delete(id);
    }
    for (const [id, operation] of operations) operations.set(id, { ...operation, state: "succeeded" });
    return [...instances.values()];
  }

  #power(instanceId: string, state: "running" | "stopped", context: OperationContext): CloudOperation {
    refuseWhenOver(context);
    const { instances, watchers } = this.#open();
    const instance = instances.get(instanceId);
    if (instance === undefined) throw new VdcError("NOT_FOUND", `there is no instance '${instanceId}'`);
    const changed: CloudInstance = { ...instance, state };
    instances.set(instanceId, changed);
    for (const tell of watchers) tell(changed);
    return { operationId: "power", state: "succeeded" };
  }

  async *#watch(owner: string | undefined, { signal }: OperationContext): AsyncGenerator<WatchItem<CloudInstance>> {
    // The latest of each: what counts is how an instance is, not how it came to be so.
    const waiting = new Map(this.account.instances);
    let wake: () => void = () => {};
    const tell = (instance: CloudInstance): void => {
      waiting.set(instance.instanceId, instance);
      wake();
    };
    const onAbort = (): void => wake();
    this.account.watchers.add(tell);
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted) {
        const [object] = waiting.values();
        if (object === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        waiting.delete(object.instanceId);
        if (owner === undefined || object.stamp?.owner.datacenter === owner) {
          yield { type: "added", object };
        }
      }
    } finally {
      this.account.watchers.delete(tell);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

function page<T>(items: readonly T[], { limit = 1000, pageToken = "at:0" }: PageRequest): Page<T> {
  const [, at] = /^at:(\d+)$/.exec(pageToken) ?? [];
  if (at === undefined) throw new VdcError("ABORTED", "an unknown page token: begin again");
  const end = Number(at) + limit;
  return { items: items.slice(Number(at), end), ...(end < items.length ? { nextPageToken: `at:${end}` } : {}) };
}
