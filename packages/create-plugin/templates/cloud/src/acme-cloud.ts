import { type Description, type OperationContext, type Page, pageByKey, refuseWhenOver, VdcError } from "@vdc-os/core";
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
import { facetAvailability, facetsOf } from "./facets.ts";
import type { MemoryAccount } from "./memory-account.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof CloudConnector, "facets">> = Parameters<CloudConnector[Name]>[0];

/** The Cloud API on an account. It never waits for the cloud and never repeats a request: the datacenter does. */
export class AcmeCloud implements CloudConnector {
  readonly facets: CloudFacets;
  readonly #account: MemoryAccount;
  readonly #token: string;

  constructor(account: MemoryAccount, token: string) {
    this.facets = facetsOf(account);
    this.#account = account;
    this.#token = token;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-cloud", version, simulated: true },
      facets: facetAvailability,
      attributes: { regions: [this.#account.region], stamp: "same-request" },
    };
  }

  async checkCredentials(): Promise<CredentialReport> {
    this.#open();
    return { identity: "somebody", missingPermissions: [] };
  }

  async listOfferings(input: Input<"listOfferings">): Promise<Page<Offering>> {
    const { sizes, region } = this.#open();
    const here = input.region === undefined || input.region === region ? sizes : [];
    const offerings = here.map((size) => ({ size, region, cpus: 1, memoryBytes: 2 ** 30, available: true }));
    return pageByKey(offerings, ({ size }) => size, input);
  }

  async listImages(input: Input<"listImages">): Promise<Page<CloudImage>> {
    const names = this.#open().images.filter((name) => input.name === undefined || name === input.name);
    const images = names.map((name) => ({ imageId: `image-${name}`, name }));
    return pageByKey(images, ({ name }) => name, input);
  }

  async listNetworks(input: Input<"listNetworks">): Promise<Page<CloudNetwork>> {
    const networks = this.#open().networks.map((name) => ({ networkId: name, name }));
    return pageByKey(networks, ({ name }) => name, input);
  }

  async createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance> {
    refuseWhenOver(context);
    const account = this.#open();
    const { image, size, region = account.region } = input;
    if (!account.images.includes(image)) throw new VdcError("NOT_FOUND", `there is no image '${image}'`);
    if (!account.sizes.includes(size)) throw new VdcError("NOT_FOUND", `there is no size '${size}'`);
    if (region !== account.region) throw new VdcError("NOT_FOUND", `there is no region '${region}'`);
    return account.make(input, context.clock.now());
  }

  async observeInstance({ by }: Input<"observeInstance">): Promise<InstanceObservation> {
    const instances = this.#open()
      .instances()
      .filter(({ instanceId, stamp }) => ("token" in by ? stamp?.token === by.token : instanceId === by.instanceId));
    const [instance] = instances;
    if (instance === undefined) return { state: "absent" };
    if (instances.length > 1) return { state: "ambiguous", instances, reason: "several instances carry the token" };
    return { state: "present", instance };
  }

  async removeInstance({ instanceId }: Input<"removeInstance">, context: OperationContext): Promise<CloudOperation> {
    refuseWhenOver(context);
    return this.#open().remove(instanceId);
  }

  async listInstances(input: Input<"listInstances">): Promise<Page<CloudInstance>> {
    const { ownerDatacenter, changedSince = 0 } = input;
    const instances = this.#open()
      .instances()
      .filter(({ createdAt }) => createdAt >= changedSince)
      .filter(({ stamp }) => ownerDatacenter === undefined || stamp?.owner.datacenter === ownerDatacenter);
    return pageByKey(instances, ({ instanceId }) => instanceId, input);
  }

  async getOperation({ operationId }: Input<"getOperation">): Promise<CloudOperation> {
    const operation = this.#open().operation(operationId);
    if (operation === undefined) throw new VdcError("NOT_FOUND", `there is no operation '${operationId}'`);
    return operation;
  }

  #open(): MemoryAccount {
    if (this.#account.knows(this.#token)) return this.#account;
    throw new VdcError("UNAUTHENTICATED", "the cloud does not know these credentials");
  }
}
