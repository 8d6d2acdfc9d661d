import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import {
  type CloudConnector,
  type CloudImage,
  type CloudInstance,
  type CloudNetwork,
  type CloudOperation,
  type CloudStamp,
  type CreateInstance,
  type CredentialReport,
  cloudStamp,
  type InstanceObservation,
  type Offering,
} from "@vdc-os/core/cloud/v1";
import { isMachineId, type Machine, type PuddleClient } from "./puddle-client.ts";

const region = "puddle";
const states = { starting: "pending", on: "running", ending: "deleting" } as const;

/** The Cloud API on puddle clouds. It keeps nothing: what it knows of a machine is in the machine's tags. */
export class PuddleConnector implements CloudConnector {
  readonly #clientOf: (context: OperationContext) => Promise<PuddleClient>;

  /** `clientOf` gives the client for a call, with the token as it is now. */
  constructor(clientOf: (context: OperationContext) => Promise<PuddleClient>) {
    this.#clientOf = clientOf;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-puddle", version: "1.0.0", simulated: false },
      facets: {},
      // The tags are part of the request that makes a machine.
      attributes: { regions: [region], stamp: "same-request" },
    };
  }

  async checkCredentials(_input: unknown, context: OperationContext): Promise<CredentialReport> {
    const client = await this.#clientOf(context);
    return { identity: await client.account(context.signal), missingPermissions: [] };
  }

  async listOfferings(
    input: PageRequest & { readonly region?: string },
    context: OperationContext,
  ): Promise<Page<Offering>> {
    await this.checkCredentials({}, context);
    const offer = (size: string, cpus: number) => ({
      size,
      region,
      cpus,
      memoryBytes: cpus * 2 ** 30,
      available: true,
    });
    const here = input.region === undefined || input.region === region;
    return pageOf(here ? [offer("small", 1), offer("large", 8)] : [], input);
  }

  async listImages(
    input: PageRequest & { readonly name?: string },
    context: OperationContext,
  ): Promise<Page<CloudImage>> {
    await this.checkCredentials({}, context);
    const images = [{ imageId: "debian", name: "debian" }];
    return pageOf(
      images.filter(({ name }) => input.name === undefined || input.name === name),
      input,
    );
  }

  async listNetworks(input: PageRequest, context: OperationContext): Promise<Page<CloudNetwork>> {
    await this.checkCredentials({}, context);
    return pageOf([{ networkId: "room", name: "room" }], input);
  }

  async createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance> {
    if (context.signal.aborted) throw toVdcError(context.signal.reason);
    const { name, image, size, stamp } = input;
    if (input.region !== undefined && input.region !== region) {
      throw new VdcError("NOT_FOUND", `there is no region '${input.region}': there is '${region}'`);
    }
    const tags = { token: stamp.token, datacenter: stamp.owner.datacenter, stamp: JSON.stringify(stamp) };
    const client = await this.#clientOf(context);
    return instanceOf(await client.make({ name, image, size, clientToken: stamp.token, tags }, context.signal));
  }

  async observeInstance(
    { by }: { readonly by: { readonly instanceId: string } | { readonly token: string } },
    context: OperationContext,
  ): Promise<InstanceObservation> {
    const client = await this.#clientOf(context);
    const wanted = "token" in by ? { token: by.token } : { id: by.instanceId };
    const instances = (await client.find(wanted, context.signal)).map(instanceOf);
    const [instance] = instances;
    if (instance === undefined) return { state: "absent" };
    if (instances.length > 1) return { state: "ambiguous", instances, reason: "several machines carry the token" };
    return { state: "present", instance };
  }

  async removeInstance(
    { instanceId }: { readonly instanceId: string },
    context: OperationContext,
  ): Promise<CloudOperation> {
    const client = await this.#clientOf(context);
    const found = await client.remove(instanceId, context.signal);
    return { operationId: instanceId, state: found.length === 0 ? "succeeded" : "running" };
  }

  async listInstances(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly changedSince?: number },
    context: OperationContext,
  ): Promise<Page<CloudInstance>> {
    const { ownerDatacenter: datacenter, changedSince = 0 } = input;
    const client = await this.#clientOf(context);
    const found = await client.find(datacenter === undefined ? {} : { datacenter }, context.signal);
    return pageOf(found.map(instanceOf), input, ({ createdAt }) => createdAt >= changedSince);
  }

  /** A removal is named after what it removes. */
  async getOperation(
    { operationId }: { readonly operationId: string },
    context: OperationContext,
  ): Promise<CloudOperation> {
    if (!isMachineId(operationId)) throw new VdcError("NOT_FOUND", `there is no operation '${operationId}'`);
    const client = await this.#clientOf(context);
    const found = await client.find({ id: operationId }, context.signal);
    return { operationId, state: found.length === 0 ? "succeeded" : "running" };
  }
}

function instanceOf({ id, name, image, size, phase, born, tags }: Machine): CloudInstance {
  const stamp = stampOf(tags.stamp);
  const common = { instanceId: id, name, image, size, region, addresses: [], createdAt: born };
  return { ...common, state: states[phase], ...(stamp === undefined ? {} : { stamp }) };
}

/** Who made a machine. One that bears no stamp, or another's tag of that name, is somebody else's. */
function stampOf(text: string | undefined): CloudStamp | undefined {
  try {
    return cloudStamp.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}

/** A page after the item that the token names: the cloud gives all at once, oldest first. */
function pageOf<T>(
  all: readonly T[],
  { limit = 100, pageToken = "from 0" }: PageRequest,
  isWanted: (item: T) => boolean = () => true,
): Page<T> {
  const [, from] = /^from (\d+)$/.exec(pageToken) ?? [];
  if (from === undefined) throw new VdcError("ABORTED", "the page token is unknown: begin again");
  const wanted = all.filter(isWanted);
  const end = Number(from) + limit;
  const items = wanted.slice(Number(from), end);
  return end < wanted.length ? { items, nextPageToken: `from ${end}` } : { items };
}
