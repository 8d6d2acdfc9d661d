// The cloud-connector contract, version 1: the Cloud API.

export type { CloudConnector, CloudFacets } from "./cloud-connector.ts";
export { cloudConnector } from "./cloud-connector.ts";
export type {
  CloudEventsFacet,
  CloudPowerFacet,
  CloudVolumesFacet,
  ImagesFacet,
  PricingFacet,
  Quota,
  QuotasFacet,
  StretchedNetworkFacet,
  VappFacet,
} from "./facets.ts";
export {
  cloudImage,
  cloudInstance,
  cloudNetwork,
  cloudOperation,
  cloudStamp,
  createInstance,
  credentialReport,
  offering,
} from "./instance.ts";
export type {
  CloudImage,
  CloudInstance,
  CloudNetwork,
  CloudOperation,
  CloudStamp,
  CreateInstance,
  CredentialReport,
  InstanceObservation,
  InstanceState,
  Offering,
} from "./instance.ts";
