import { type ElementName, INFORMATION_ELEMENTS } from "./information-element.ts";

/** The set id of templates (RFC 7011 section 3.3.2). */
export const TEMPLATE_SET = 2;
/** The set id of options templates. */
export const OPTIONS_TEMPLATE_SET = 3;
/** The least id of a template, and of a set of data. */
export const FIRST_TEMPLATE = 256;

/** What records of one id hold, in order. */
export interface IpfixTemplate {
  readonly id: number;
  /** How many elements, from the first on, are the scope of an options record. Absent in a data template. */
  readonly scopes?: number;
  readonly elements: readonly ElementName[];
}

const ETHERNET: readonly ElementName[] = ["sourceMacAddress", "destinationMacAddress", "vlanId", "ethernetType"];
const TRANSPORT: readonly ElementName[] = ["protocolIdentifier", "sourceTransportPort", "destinationTransportPort"];
const ACCOUNT: readonly ElementName[] = [
  "ingressInterface",
  "egressInterface",
  "flowDirection",
  "flowEndReason",
  "packetDeltaCount",
  "layer2OctetDeltaCount",
  "flowStartMilliseconds",
  "flowEndMilliseconds",
];

export type FlowTemplateName = "ipv4" | "ipv6" | "ethernet" | "interface" | "sampling" | "randomSampling";

/** The templates of the flow exporter. Their ids and fields don't change while it runs. */
export const FLOW_TEMPLATES: Readonly<Record<FlowTemplateName, IpfixTemplate>> = {
  ipv4: {
    id: 256,
    elements: [...ETHERNET, "sourceIPv4Address", "destinationIPv4Address", ...TRANSPORT, ...ACCOUNT, "octetDeltaCount"],
  },
  ipv6: {
    id: 257,
    elements: [...ETHERNET, "sourceIPv6Address", "destinationIPv6Address", ...TRANSPORT, ...ACCOUNT, "octetDeltaCount"],
  },
  /** Frames that are no IP packets. */
  ethernet: { id: 258, elements: [...ETHERNET, ...ACCOUNT] },
  /** Says which port a number stands for. */
  interface: { id: 259, scopes: 1, elements: ["ingressInterface", "interfaceName"] },
  /** Says that one frame of so many is looked at, in turn (RFC 5477: systematic, count-based). */
  sampling: {
    id: 260,
    scopes: 1,
    elements: ["observationDomainId", "selectorAlgorithm", "samplingPacketInterval", "samplingPacketSpace"],
  },
  /** Says that frames are looked at by chance, one of so many on average (RFC 5477: random n-out-of-N). */
  randomSampling: {
    id: 261,
    scopes: 1,
    elements: ["observationDomainId", "selectorAlgorithm", "samplingSize", "samplingPopulation"],
  },
};

/** The sets that announce templates: those of data in one set, those of options in another. */
export function templateSets(templates: readonly IpfixTemplate[]): Buffer {
  const data = templates.filter(({ scopes }) => scopes === undefined);
  const options = templates.filter(({ scopes }) => scopes !== undefined);
  return Buffer.concat([
    ...(data.length === 0 ? [] : [ipfixSet(TEMPLATE_SET, data.map(templateRecord))]),
    ...(options.length === 0 ? [] : [ipfixSet(OPTIONS_TEMPLATE_SET, options.map(templateRecord))]),
  ]);
}

/** A set (RFC 7011 section 3.3): its id, its length, its records. */
export function ipfixSet(id: number, records: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(4 + records.reduce((sum, { length }) => sum + length, 0), 2);
  return Buffer.concat([header, ...records]);
}

function templateRecord({ id, scopes, elements }: IpfixTemplate): Buffer {
  const words = [id, elements.length, ...(scopes === undefined ? [] : [scopes])];
  for (const name of elements) words.push(INFORMATION_ELEMENTS[name].id, INFORMATION_ELEMENTS[name].length);
  const record = Buffer.alloc(words.length * 2);
  words.forEach((word, index) => {
    record.writeUInt16BE(word, index * 2);
  });
  return record;
}
