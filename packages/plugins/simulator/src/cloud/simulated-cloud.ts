import { type Description, type OperationContext, type Page, type PageRequest, VdcError } from "@vdc-os/core";
import {
  type CloudConnector,
  type CloudFacets,
  type CloudImage,
  type CloudInstance,
  type CloudNetwork,
  type CloudOperation,
  cloudConnector,
  type CreateInstance,
  type CredentialReport,
  type InstanceObservation,
  type Offering,
} from "@vdc-os/core/cloud/v1";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";
import type { CloudAccount } from "./cloud-account.ts";

/** A connector to a simulated cloud's account. With wrong credentials it can do nothing but describe itself. */
export class SimulatedCloud implements CloudConnector {
  readonly facets: CloudFacets;
  readonly #account: CloudAccount;
  readonly #authenticated: boolean;

  constructor(account: CloudAccount, options: { readonly authenticated?: boolean } = {}) {
    this.#account = account;
    this.#authenticated = options.authenticated ?? true;
    this.facets = {
      power: {
        startInstance: async ({ instanceId }) => this.#open().power(instanceId, "running"),
        stopInstance: async ({ instanceId }) => this.#open().power(instanceId, "stopped"),
      },
      pricing: { price: async (input) => this.#price(input) },
      quotas: {
        quotas: async () => {
          const { instances, maxInstances } = this.#open();
          return [{ name: "instances", used: instances.length, limit: maxInstances }];
        },
      },
      events: {
        watchInstances: (input, context) => this.#watch(input.ownerDatacenter, context),
      },
    };
  }

  async describe(): Promise<Description> {
    return describeSimulated(cloudConnector, {
      available: { power: {}, pricing: {}, quotas: {}, events: {} },
      because: { images: "a simulated instance boots no image", vapp: "a simulated instance runs no package" },
      attributes: { regions: [...this.#account.regions], stamp: "same-request" },
    });
  }

  async checkCredentials(): Promise<CredentialReport> {
    return { identity: `simulated account '${this.#open().name}'`, missingPermissions: [] };
  }

  async listOfferings(input: PageRequest & { readonly region?: string }): Promise<Page<Offering>> {
    const { offerings } = this.#open();
    const found = offerings.filter(({ region }) => input.region === undefined || region === input.region);
    return pageByKey(found, ({ region, size }) => `${region}/${size}`, input);
  }

  async listImages(input: PageRequest & { readonly name?: string }): Promise<Page<CloudImage>> {
    const found = this.#open().images.filter(({ name }) => input.name === undefined || name === input.name);
    return pageByKey(found, ({ imageId }) => imageId, input);
  }

  async listNetworks(input: PageRequest): Promise<Page<CloudNetwork>> {
    return pageByKey(this.#open().networks, ({ networkId }) => networkId, input);
  }

  async createInstance(input: CreateInstance): Promise<CloudInstance> {
    return this.#open().create(input);
  }

  async observeInstance({
    by,
  }: {
    readonly by: { readonly instanceId: string } | { readonly token: string };
  }): Promise<InstanceObservation> {
    const account = this.#open();
    const found = "token" in by ? account.byToken(by.token) : [account.find(by.instanceId) ?? []].flat();
    const [instance, ...others] = found;
    if (instance === undefined) return { state: "absent" };
    if (others.length === 0) return { state: "present", instance };
    return { state: "ambiguous", instances: found, reason: `${found.length} instances carry the token` };
  }

  async removeInstance({ instanceId }: { readonly instanceId: string }): Promise<CloudOperation> {
    return this.#open().remove(instanceId);
  }

  async listInstances(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly changedSince?: number },
  ): Promise<Page<CloudInstance>> {
    const { ownerDatacenter, changedSince = 0 } = input;
    const found = this.#open()
      .changedSince(changedSince)
      .filter(({ stamp }) => ownerDatacenter === undefined || stamp?.owner.datacenter === ownerDatacenter);
    return pageByKey(found, ({ instanceId }) => instanceId, input);
  }

  async getOperation({ operationId }: { readonly operationId: string }): Promise<CloudOperation> {
    return this.#open().operation(operationId);
  }

  async *#watch(ownerDatacenter: string | undefined, context: OperationContext) {
    const account = this.#open();
    for await (const item of account.feed.watch(() => account.instances, context.signal)) {
      const owner = item.type === "resync" ? undefined : item.object.stamp?.owner.datacenter;
      if (item.type === "resync" || ownerDatacenter === undefined || owner === ownerDatacenter) yield item;
    }
  }

  #price({ size, region }: { readonly size: string; readonly region: string }): {
    readonly perHour: number;
    readonly currency: string;
  } {
    const offer = this.#open().offerings.find((found) => found.size === size && found.region === region);
    if (offer?.pricePerHour === undefined) throw new VdcError("NOT_FOUND", `there is no size '${size}' in '${region}'`);
    return { perHour: offer.pricePerHour.amount, currency: offer.pricePerHour.currency };
  }

  #open(): CloudAccount {
    if (this.#authenticated) return this.#account;
    throw new VdcError("UNAUTHENTICATED", `simulated cloud '${this.#account.name}' does not know these credentials`);
  }
}
