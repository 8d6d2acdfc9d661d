// What a certificate says
export {
  type Certificate,
  type CertificateStatement,
  type CertificateSubject,
  certificateStatement,
  certificateType,
  type CertificateVerdict,
  type CertifiedProfile,
  type CertifiedRequirement,
  type CertifiedSuite,
  packageUrl,
  statementPayloadType,
  statementType,
} from "./certificate.ts";

// Whether it holds
export {
  assertCertified,
  type CertifiedExpectation,
  type VerifiedCertificate,
  verifyCertificate,
  type VerifyCertificateOptions,
} from "./verify-certificate.ts";
export { type CertifiedPlugin, checkInstalledPlugin, type CheckInstalledPluginOptions } from "./certified-plugin.ts";

// The digest of a package
export { dirHash, isDigested, type PackageFile, readPackageFiles, sha256Of } from "./package-digest.ts";

// The envelope
export {
  type Envelope,
  type EnvelopeSignature,
  keyIdOf,
  type OpenedEnvelope,
  openEnvelope,
  type OpenEnvelopeOptions,
  preAuthEncoding,
  signEnvelope,
  type SignEnvelopeOptions,
} from "./dsse-envelope.ts";
