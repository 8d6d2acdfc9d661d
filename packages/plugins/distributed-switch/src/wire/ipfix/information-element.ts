/** An information element as a template names it: IANA's number, and its length in octets; 65535 is "each value says its own". */
export interface InformationElement {
  readonly id: number;
  readonly length: number;
}

/** The length of elements whose values say their own (RFC 7011 section 7). */
export const VARIABLE_LENGTH = 0xffff;

/** The exported elements' names at IANA. */
export type ElementName =
  | "octetDeltaCount"
  | "packetDeltaCount"
  | "protocolIdentifier"
  | "sourceTransportPort"
  | "sourceIPv4Address"
  | "ingressInterface"
  | "destinationTransportPort"
  | "destinationIPv4Address"
  | "egressInterface"
  | "sourceIPv6Address"
  | "destinationIPv6Address"
  | "sourceMacAddress"
  | "vlanId"
  | "flowDirection"
  | "destinationMacAddress"
  | "interfaceName"
  | "flowEndReason"
  | "observationDomainId"
  | "flowStartMilliseconds"
  | "flowEndMilliseconds"
  | "ethernetType"
  | "selectorAlgorithm"
  | "samplingPacketInterval"
  | "samplingPacketSpace"
  | "samplingSize"
  | "samplingPopulation"
  | "layer2OctetDeltaCount";

/** IANA's IPFIX information elements that are exported, by their names there. */
export const INFORMATION_ELEMENTS: Readonly<Record<ElementName, InformationElement>> = {
  octetDeltaCount: { id: 1, length: 8 },
  packetDeltaCount: { id: 2, length: 8 },
  protocolIdentifier: { id: 4, length: 1 },
  sourceTransportPort: { id: 7, length: 2 },
  sourceIPv4Address: { id: 8, length: 4 },
  ingressInterface: { id: 10, length: 4 },
  destinationTransportPort: { id: 11, length: 2 },
  destinationIPv4Address: { id: 12, length: 4 },
  egressInterface: { id: 14, length: 4 },
  sourceIPv6Address: { id: 27, length: 16 },
  destinationIPv6Address: { id: 28, length: 16 },
  sourceMacAddress: { id: 56, length: 6 },
  vlanId: { id: 58, length: 2 },
  flowDirection: { id: 61, length: 1 },
  destinationMacAddress: { id: 80, length: 6 },
  interfaceName: { id: 82, length: VARIABLE_LENGTH },
  flowEndReason: { id: 136, length: 1 },
  observationDomainId: { id: 149, length: 4 },
  flowStartMilliseconds: { id: 152, length: 8 },
  flowEndMilliseconds: { id: 153, length: 8 },
  ethernetType: { id: 256, length: 2 },
  selectorAlgorithm: { id: 304, length: 2 },
  samplingPacketInterval: { id: 305, length: 4 },
  samplingPacketSpace: { id: 306, length: 4 },
  samplingSize: { id: 309, length: 4 },
  samplingPopulation: { id: 310, length: 4 },
  layer2OctetDeltaCount: { id: 352, length: 8 },
};
