import { VdcError } from "@vdc-os/core";
import type {
  CloudImage,
  CloudInstance,
  CloudNetwork,
  CloudOperation,
  CreateInstance,
  InstanceState,
  Offering,
} from "@vdc-os/core/cloud/v1";
import { ChangeFeed } from "../world/change-feed.ts";
import type { WorldServices } from "../world/world-services.ts";

/** What a simulated cloud offers, and how fast it is. */
export interface CloudOptions {
  /** Defaults to two. */
  readonly regions?: readonly string[];
  /** Defaults to `small`, `medium` and `large`. */
  readonly sizes?: readonly { readonly size: string; readonly cpus: number; readonly memoryBytes: number }[];
  /** Defaults to `debian` and `vdc-guest`. */
  readonly images?: readonly CloudImage[];
  /** Defaults to `default`. */
  readonly networks?: readonly CloudNetwork[];
  /** How many instances there may be at once. Defaults to 1000. */
  readonly maxInstances?: number;
  /** How long an instance is `pending`, in milliseconds. Defaults to 0. */
  readonly createMs?: number;
  /** How long an instance is `deleting`, in milliseconds. Defaults to 0. */
  readonly removeMs?: number;
}

interface InstanceRecord {
  instance: CloudInstance;
  changedAt: number;
}

const gibibyte = 1024 ** 3;

/** The price of a CPU for an hour, in simulated dollars. */
const pricePerCpu = 0.02;

/** An account in a simulated cloud: what is in it, and how that changes. */
export class CloudAccount {
  readonly name: string;
  readonly offerings: readonly Offering[];
  readonly images: readonly CloudImage[];
  readonly networks: readonly CloudNetwork[];
  readonly regions: readonly string[];
  readonly maxInstances: number;
  readonly feed: ChangeFeed<CloudInstance> = new ChangeFeed();
  readonly #world: WorldServices;
  readonly #createMs: number;
  readonly #removeMs: number;
  readonly #instances: Map<string, InstanceRecord> = new Map();
  readonly #operations: Map<string, CloudOperation> = new Map();
  readonly #timers: Set<() => void> = new Set();

  constructor(name: string, world: WorldServices, options: CloudOptions = {}) {
    this.name = name;
    this.#world = world;
    this.regions = options.regions ?? ["simulated-1", "simulated-2"];
    const sizes = options.sizes ?? [
      { size: "small", cpus: 1, memoryBytes: gibibyte },
      { size: "medium", cpus: 2, memoryBytes: 4 * gibibyte },
      { size: "large", cpus: 8, memoryBytes: 16 * gibibyte },
    ];
    this.offerings = this.regions.flatMap((region) =>
      sizes.map((size) => ({
        ...size,
        region,
        available: true,
        pricePerHour: { amount: size.cpus * pricePerCpu, currency: "USD" },
      })),
    );
    this.images = options.images ?? [
      { imageId: "image-debian", name: "debian", sizeBytes: gibibyte },
      { imageId: "image-vdc-guest", name: "vdc-guest", sizeBytes: 16 * 1024 ** 2 },
    ];
    this.networks = options.networks ?? [{ networkId: "network-default", name: "default" }];
    this.maxInstances = options.maxInstances ?? 1000;
    this.#createMs = options.createMs ?? 0;
    this.#removeMs = options.removeMs ?? 0;
  }

  get instances(): readonly CloudInstance[] {
    return [...this.#instances.values()].map(({ instance }) => instance);
  }

  changedSince(since: number): readonly CloudInstance[] {
    return [...this.#instances.values()].filter(({ changedAt }) => changedAt >= since).map(({ instance }) => instance);
  }

  find(instanceId: string): CloudInstance | undefined {
    return this.#instances.get(instanceId)?.instance;
  }

  byToken(token: string): readonly CloudInstance[] {
    return this.instances.filter(({ stamp }) => stamp?.token === token);
  }

  create(input: CreateInstance): CloudInstance {
    const { name, image, size, region = this.regions[0] ?? "", zone, networks, stamp } = input;
    const [made] = this.byToken(stamp.token);
    if (made !== undefined) return made;
    if (!this.images.some(({ imageId, name: known }) => imageId === image || known === image)) {
      throw this.#unknown(
        "image",
        image,
        this.images.map((known) => known.name),
      );
    }
    if (!this.offerings.some((offer) => offer.size === size && offer.region === region)) {
      throw this.#unknown(
        "size",
        `${size} in ${region}`,
        this.offerings.map((offer) => `${offer.size} in ${offer.region}`),
      );
    }
    for (const network of networks) {
      if (!this.networks.some(({ networkId, name: known }) => networkId === network || known === network)) {
        throw this.#unknown(
          "network",
          network,
          this.networks.map((known) => known.name),
        );
      }
    }
    if (this.#instances.size >= this.maxInstances) {
      throw new VdcError("RESOURCE_EXHAUSTED", `simulated cloud '${this.name}' takes ${this.maxInstances} instances`);
    }
    const instance: CloudInstance = {
      instanceId: this.#world.nextId("instance"),
      name,
      state: "pending",
      image,
      size,
      region,
      ...(zone === undefined ? {} : { zone }),
      addresses: [],
      createdAt: this.#world.clock.now(),
      stamp,
    };
    this.#instances.set(instance.instanceId, { instance, changedAt: this.#world.clock.now() });
    this.feed.tell("added", instance.instanceId, instance);
    const address = `198.51.100.${(this.#instances.size % 254) + 1}`;
    this.#later(this.#createMs, () => this.#change(instance.instanceId, "running", [address]));
    return this.find(instance.instanceId) ?? instance;
  }

  remove(instanceId: string): CloudOperation {
    const instance = this.find(instanceId);
    if (instance === undefined) return this.#operation("succeeded");
    const operation = this.#operation("running");
    this.#change(instanceId, "deleting", instance.addresses);
    this.#later(this.#removeMs, () => {
      const last = this.find(instanceId);
      this.#instances.delete(instanceId);
      if (last !== undefined) this.feed.tell("deleted", instanceId, last);
      this.#operations.set(operation.operationId, { ...operation, state: "succeeded", fraction: 1 });
    });
    return this.operation(operation.operationId);
  }

  /** Starts or stops an instance. `NOT_FOUND` when there is none. */
  power(instanceId: string, state: "running" | "stopped"): CloudOperation {
    const instance = this.find(instanceId);
    if (instance === undefined) throw new VdcError("NOT_FOUND", `there is no instance '${instanceId}'`);
    this.#change(instanceId, state, instance.addresses);
    return this.#operation("succeeded");
  }

  operation(operationId: string): CloudOperation {
    const found = this.#operations.get(operationId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no operation '${operationId}'`);
    return found;
  }

  /** Makes an instance that bears no stamp, as somebody else would. */
  addForeign(name: string): CloudInstance {
    const [image] = this.images;
    const [offer] = this.offerings;
    const instance: CloudInstance = {
      instanceId: this.#world.nextId("instance"),
      name,
      state: "running",
      image: image?.name ?? "",
      size: offer?.size ?? "",
      region: offer?.region ?? "",
      addresses: [],
      createdAt: this.#world.clock.now(),
    };
    this.#instances.set(instance.instanceId, { instance, changedAt: this.#world.clock.now() });
    return instance;
  }

  /** Ends the timers of instances that are on their way. */
  dispose(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #change(instanceId: string, state: InstanceState, addresses: readonly string[]): void {
    const record = this.#instances.get(instanceId);
    if (record === undefined || (record.instance.state === "deleting" && state !== "deleting")) return;
    record.instance = { ...record.instance, state, addresses };
    record.changedAt = this.#world.clock.now();
    this.feed.tell("modified", instanceId, record.instance);
  }

  #operation(state: CloudOperation["state"]): CloudOperation {
    const operation: CloudOperation = {
      operationId: this.#world.nextId("operation"),
      state,
      fraction: state === "succeeded" ? 1 : 0,
    };
    this.#operations.set(operation.operationId, operation);
    return operation;
  }

  #later(delayMs: number, run: () => void): void {
    if (delayMs <= 0) {
      run();
      return;
    }
    const cancel = this.#world.clock.schedule(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  #unknown(kind: string, asked: string, known: readonly string[]): VdcError {
    const list = known.map((name) => `'${name}'`).join(", ");
    return new VdcError("NOT_FOUND", `simulated cloud '${this.name}' has no ${kind} '${asked}': it has ${list}`);
  }
}
