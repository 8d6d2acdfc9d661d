// Certifying a package
export { certify, type CertifyOptions, type SuiteBegin } from "./certify/certify.ts";
export type {
  CertificationKit,
  FactoryModule,
  InstanceFactory,
  StartedPlugin,
  StartPluginOptions,
} from "./certify/certification-kit.ts";
export {
  type CertificationReport,
  type CertificationSubject,
  certificationReport,
  reportFormat,
} from "./certify/certification-report.ts";
export { kitVersion } from "./kit-version.ts";

// Reports
export { formatHtml } from "./reports/html-report.ts";
export { formatJson } from "./reports/json-report.ts";
export { formatJunit } from "./reports/junit-report.ts";
export { formatTerminal, type FormatTerminalOptions } from "./reports/terminal-report.ts";

// Certificates
export { issueCertificate, type IssueCertificateOptions } from "./certificate/issue-certificate.ts";
export { createSigningKey, readSigningKey, type SigningKeyFiles } from "./certificate/signing-key.ts";

// Running a suite
export { type RunRequirementOptions, runRequirement } from "./suite/run-requirement.ts";
export { runSuite, type RunSuiteOptions } from "./suite/run-suite.ts";
export type { Transport } from "./suite/transport.ts";

// The report of a suite
export {
  countStatuses,
  type ProfileReport,
  profilesOf,
  type RequirementResult,
  type RequirementStatus,
  requirementStatuses,
  type StatusCounts,
  type SuiteReport,
  type Verdict,
  verdictOf,
} from "./suite/report.ts";

// Waivers
export { parseWaivers, type Waiver, waiverFile, type WaiverOutcome, type WaiverReport } from "./suite/waiver.ts";

// Writing a suite
export { must, mustEqual, mustReject, RequirementFailure, takeUntil } from "./suite/must.ts";
export {
  type DefineSuiteOptions,
  defineSuite,
  type Instance,
  type Requirement,
  type RequirementLevel,
  type Suite,
  type SuiteTest,
} from "./suite/suite.ts";

// Proving a suite
export {
  type Mutant,
  type MutantResult,
  mutationTable,
  provesSuite,
  type ProvesSuiteOptions,
  type SuiteProof,
} from "./suite/proves-suite.ts";
