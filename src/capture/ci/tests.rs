//! One test a row of the table, with that system's environment as its documentation has it.

use super::*;

fn variables(lines: &str) -> Variables {
    let pairs = lines.lines().map(str::trim).filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
fn detected_with(lines: &str, files: &[(&str, &str)]) -> Detected {
    let read = |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
    detect(&Table::builtin().unwrap(), &variables(lines), &read).unwrap()
}
fn detected(lines: &str) -> Detected {
    detected_with(lines, &[])
}
/// The facts that were expected, and the run's key.
#[track_caller]
fn has(found: &Detected, system: &str, run: &str, facts: &[(&str, &str)]) {
    assert_eq!((found.system.as_str(), found.run.as_deref()), (system, Some(run)));
    assert_eq!(found.facts["cicd.system"], system);
    for (name, value) in facts {
        assert_eq!(found.facts.get(*name).map(String::as_str), Some(*value), "{name}: {:#?}", found.facts);
    }
}
#[track_caller]
fn token_variable(found: &Detected) -> (&str, &str) {
    match &found.token {
        Some(TokenSource::Variable { name, value }) => (name, value),
        other => panic!("{other:?}"),
    }
}

const GITHUB: &str = "CI=true\nGITHUB_ACTIONS=true\nGITHUB_SERVER_URL=https://github.example.com\nGITHUB_REPOSITORY=shop/api\nGITHUB_REPOSITORY_ID=123\n\
    GITHUB_RUN_ID=9001\nGITHUB_RUN_ATTEMPT=2\nGITHUB_JOB=build\nGITHUB_WORKFLOW=Release\nGITHUB_WORKFLOW_REF=shop/api/.github/workflows/release.yml@refs/heads/main\n\
    GITHUB_SHA=0123456789abcdef0123456789abcdef01234567\nGITHUB_REF=refs/heads/main\nGITHUB_REF_NAME=main\nGITHUB_REF_TYPE=branch\nGITHUB_HEAD_REF=\n\
    GITHUB_EVENT_NAME=push\nGITHUB_ACTOR=alice\nGITHUB_TRIGGERING_ACTOR=bob\nRUNNER_NAME=runner-7\nRUNNER_ENVIRONMENT=self-hosted\nRUNNER_TEMP=/tmp/runner\n\
    ACTIONS_ID_TOKEN_REQUEST_URL=https://token.example.com/x?api=1\nACTIONS_ID_TOKEN_REQUEST_TOKEN=request-secret";

#[test]
fn woodpecker_is_not_gitlab() {
    let found = detected(
        "CI=woodpecker\nCI_SYSTEM_URL=https://ci.example.com\nCI_REPO=shop/api\nCI_REPO_ID=4\nCI_PIPELINE_NUMBER=17\nCI_WORKFLOW_NAME=release\n\
         CI_STEP_NAME=build\nCI_COMMIT_SHA=abc\nCI_COMMIT_BRANCH=main\nCI_PIPELINE_EVENT=push\nCI_PIPELINE_URL=https://ci.example.com/repos/4/pipeline/17\n\
         CI_MACHINE=agent-1\nCI_REPO_URL=https://git.example.com/shop/api\nCI_COMMIT_AUTHOR=alice\nGITLAB_CI=true",
    );
    has(
        &found,
        "woodpecker",
        "https://ci.example.com/shop/api/17",
        &[
            ("cicd.pipeline.name", "shop/api/release"),
            ("cicd.pipeline.run.id", "17"),
            ("cicd.pipeline.run.url.full", "https://ci.example.com/repos/4/pipeline/17"),
            ("cicd.pipeline.task.name", "build"),
            ("cicd.pipeline.trigger", "push"),
            ("cicd.pipeline.actor", "alice"),
            ("cicd.worker.name", "agent-1"),
            ("vcs.repository.url.full", "https://git.example.com/shop/api"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "abc"),
            ("vcs.ref.type", "branch"),
        ],
    );
    assert_eq!(found.token, None);
}

#[test]
fn gitea_and_forgejo_are_not_github() {
    for (variable, system) in [("GITEA_ACTIONS", "gitea"), ("FORGEJO_ACTIONS", "forgejo")] {
        let found = detected(&format!("{GITHUB}\n{variable}=true"));
        has(&found, system, "https://github.example.com/shop/api/9001/2", &[("cicd.pipeline.task.name", "build")]);
        assert!(matches!(found.token, Some(TokenSource::Url(_))));
    }
    // Both, as a Forgejo that stays compatible sets them.
    assert_eq!(detected(&format!("{GITHUB}\nGITEA_ACTIONS=true\nFORGEJO_ACTIONS=true")).system, "forgejo");
}

#[test]
fn github() {
    let found = detected(GITHUB);
    has(
        &found,
        "github",
        "https://github.example.com/shop/api/9001/2",
        &[
            ("cicd.pipeline.name", "Release"),
            ("cicd.pipeline.definition", "shop/api/.github/workflows/release.yml@refs/heads/main"),
            ("cicd.pipeline.run.id", "9001"),
            ("cicd.pipeline.run.attempt", "2"),
            ("cicd.pipeline.run.url.full", "https://github.example.com/shop/api/actions/runs/9001"),
            ("cicd.pipeline.task.name", "build"),
            ("cicd.pipeline.trigger", "push"),
            ("cicd.pipeline.actor", "bob"),
            ("cicd.worker.name", "runner-7"),
            ("cicd.worker.environment", "self-hosted"),
            ("vcs.repository.id", "123"),
            ("vcs.repository.url.full", "https://github.example.com/shop/api"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "0123456789abcdef0123456789abcdef01234567"),
            ("vcs.ref.type", "branch"),
        ],
    );
    assert_eq!(found.facts.get("vcs.change.id"), None);
    assert_eq!(found.spool.as_deref(), Some(Path::new("/tmp/runner/tidewaiter")));
    let Some(TokenSource::Url(token)) = &found.token else { panic!("{:?}", found.token) };
    assert_eq!(
        (token.bearer.as_str(), token.audience.as_deref(), token.post),
        ("request-secret", Some("audience"), false)
    );
    assert!(!format!("{found:?}").contains("request-secret"));
    // A pull request: its number, and the branch it comes from.
    let pull = GITHUB
        .replace("GITHUB_REF=refs/heads/main", "GITHUB_REF=refs/pull/12/merge")
        .replace("GITHUB_HEAD_REF=", "GITHUB_HEAD_REF=topic");
    has(
        &detected(&pull),
        "github",
        "https://github.example.com/shop/api/9001/2",
        &[("vcs.change.id", "12"), ("vcs.ref.head.name", "topic")],
    );
}

#[test]
fn gitlab() {
    let lines = "CI=true\nGITLAB_CI=true\nCI_SERVER_URL=https://gitlab.example.com\nCI_PROJECT_ID=42\nCI_PROJECT_PATH=shop/api\nCI_PROJECT_URL=https://gitlab.example.com/shop/api\n\
        CI_PIPELINE_ID=1000\nCI_PIPELINE_URL=https://gitlab.example.com/shop/api/-/pipelines/1000\nCI_JOB_ID=555\nCI_JOB_NAME=compile\nCI_JOB_STAGE=build\n\
        CI_JOB_URL=https://gitlab.example.com/shop/api/-/jobs/555\nCI_NODE_INDEX=2\nCI_RUNNER_ID=9\nCI_RUNNER_DESCRIPTION=shared-9\nCI_JOB_IMAGE=rust:1\nCI_CONFIG_PATH=.gitlab-ci.yml\n\
        CI_COMMIT_SHA=abc\nCI_COMMIT_REF_NAME=main\nCI_PIPELINE_SOURCE=merge_request_event\nCI_MERGE_REQUEST_IID=7\nCI_MERGE_REQUEST_SOURCE_BRANCH_NAME=topic\n\
        GITLAB_USER_LOGIN=alice\nCI_PROJECT_DIR=/builds/shop/api\nTIDEWAITER_ID_TOKEN=a.b.c";
    let found = detected(lines);
    has(
        &found,
        "gitlab",
        "https://gitlab.example.com/42/1000",
        &[
            ("cicd.pipeline.name", "shop/api"),
            ("cicd.pipeline.definition", ".gitlab-ci.yml"),
            ("cicd.pipeline.run.url.full", "https://gitlab.example.com/shop/api/-/pipelines/1000"),
            ("cicd.pipeline.stage", "build"),
            ("cicd.pipeline.task.name", "compile"),
            ("cicd.pipeline.task.index", "2"),
            ("cicd.pipeline.task.run.id", "555"),
            ("cicd.pipeline.task.run.url.full", "https://gitlab.example.com/shop/api/-/jobs/555"),
            ("cicd.pipeline.trigger", "merge_request_event"),
            ("cicd.pipeline.actor", "alice"),
            ("cicd.worker.id", "9"),
            ("cicd.worker.name", "shared-9"),
            ("cicd.worker.image", "rust:1"),
            ("vcs.ref.head.name", "topic"),
            ("vcs.ref.head.revision", "abc"),
            ("vcs.change.id", "7"),
        ],
    );
    assert_eq!(found.spool.as_deref(), Some(Path::new("/builds/shop/api/.tidewaiter")));
    assert_eq!(token_variable(&found), ("TIDEWAITER_ID_TOKEN", "a.b.c"));
    assert!(!found.facts.values().any(|value| value.contains("a.b.c")));
}

#[test]
fn jenkins() {
    let lines = "JENKINS_URL=https://jenkins.example.com/\nBUILD_ID=31\nBUILD_NUMBER=31\nJOB_NAME=shop/main\nBUILD_URL=https://jenkins.example.com/job/shop/31/\n\
        BUILD_TAG=jenkins-shop-31\nSTAGE_NAME=Build\nNODE_NAME=agent-3\nEXECUTOR_NUMBER=1\nWORKSPACE=/w\nWORKSPACE_TMP=/w@tmp\nGIT_COMMIT=abc\nGIT_BRANCH=origin/main\n\
        GIT_URL=https://git.example.com/shop.git";
    let found = detected(lines);
    has(
        &found,
        "jenkins",
        "https://jenkins.example.com/job/shop/31/",
        &[
            ("cicd.pipeline.name", "shop/main"),
            ("cicd.pipeline.run.id", "31"),
            ("cicd.pipeline.run.tag", "jenkins-shop-31"),
            ("cicd.pipeline.task.name", "Build"),
            ("cicd.worker.name", "agent-3"),
            ("cicd.worker.id", "1"),
            ("vcs.repository.url.full", "https://git.example.com/shop.git"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "abc"),
        ],
    );
    assert_eq!(found.spool.as_deref(), Some(Path::new("/w@tmp/tidewaiter")));
    let change = detected(&format!("{lines}\nCHANGE_ID=5\nCHANGE_BRANCH=topic"));
    has(
        &change,
        "jenkins",
        "https://jenkins.example.com/job/shop/31/",
        &[("vcs.change.id", "5"), ("vcs.ref.head.name", "topic")],
    );
    // Something else may set BUILD_ID.
    assert_eq!(detect(&Table::builtin().unwrap(), &variables("BUILD_ID=31"), &|_| None), None);
}

#[test]
fn tekton_by_the_pods_labels_and_by_variables() {
    let labels = "app=\"x\"\ntekton.dev/pipeline=\"release\"\ntekton.dev/pipelineRun=\"release-x7\"\ntekton.dev/pipelineRunUID=\"0b5e\"\n\
        tekton.dev/pipelineTask=\"build\"\ntekton.dev/taskRun=\"release-x7-build\"\n";
    let files = [("/etc/podinfo/labels", labels), ("/var/run/secrets/tidewaiter/token", "a.b.c")];
    let found = detected_with("HOSTNAME=release-x7-build-pod", &files);
    let facts = [
        ("cicd.pipeline.name", "release"),
        ("cicd.pipeline.run.id", "release-x7"),
        ("cicd.pipeline.task.name", "build"),
        ("cicd.pipeline.task.run.id", "release-x7-build"),
        ("cicd.worker.name", "release-x7-build-pod"),
    ];
    has(&found, "tekton", "0b5e", &facts);
    assert_eq!(found.token, Some(TokenSource::File("/var/run/secrets/tidewaiter/token".into())));
    let elsewhere = detected_with("TIDEWAITER_PODINFO=/p\nHOSTNAME=release-x7-build-pod", &[("/p/labels", labels)]);
    has(&elsewhere, "tekton", "0b5e", &facts);
    assert_eq!(elsewhere.token, None);
    let variables = "TEKTON_NAMESPACE=ci\nTEKTON_PIPELINE_NAME=release\nTEKTON_PIPELINERUN_NAME=release-x7\nTEKTON_PIPELINETASK_NAME=build\nTEKTON_TASKRUN_NAME=release-x7-build\n\
        TEKTON_POD_NAME=release-x7-build-pod\nTEKTON_GIT_URL=https://git.example.com/shop\nTEKTON_GIT_COMMIT=abc";
    let found = detected(variables);
    has(&found, "tekton", "ci/release-x7", &facts);
    has(
        &found,
        "tekton",
        "ci/release-x7",
        &[("vcs.repository.url.full", "https://git.example.com/shop"), ("vcs.ref.head.revision", "abc")],
    );
}

#[test]
fn argo_workflows() {
    let lines = "ARGO_NODE_ID=release-x7-123\nARGO_CONTAINER_NAME=main\nARGO_TEMPLATE={}\nARGO_WORKFLOW_UID=0b5e\nARGO_WORKFLOW_NAME=release-x7\nARGO_TASK_NAME=build\n\
        HOSTNAME=release-x7-123\nARGO_GIT_COMMIT=abc";
    has(
        &detected(lines),
        "argo-workflows",
        "0b5e",
        &[
            ("cicd.pipeline.name", "release-x7"),
            ("cicd.pipeline.run.id", "0b5e"),
            ("cicd.pipeline.task.name", "build"),
            ("cicd.pipeline.task.run.id", "release-x7-123"),
            ("cicd.worker.name", "release-x7-123"),
            ("vcs.ref.head.revision", "abc"),
        ],
    );
    let labels = [("/etc/podinfo/labels", "workflows.argoproj.io/workflow=\"release-x7\"\n")];
    has(
        &detected_with("HOSTNAME=h", &labels),
        "argo-workflows",
        "release-x7",
        &[("cicd.pipeline.run.id", "release-x7")],
    );
}

#[test]
fn circleci() {
    let found = detected(
        "CI=true\nCIRCLECI=true\nCIRCLE_WORKFLOW_ID=w-1\nCIRCLE_WORKFLOW_JOB_ID=j-2\nCIRCLE_JOB=build\nCIRCLE_BUILD_NUM=88\nCIRCLE_BUILD_URL=https://circleci.example.com/88\n\
         CIRCLE_NODE_INDEX=0\nCIRCLE_PROJECT_USERNAME=shop\nCIRCLE_PROJECT_REPONAME=api\nCIRCLE_SHA1=abc\nCIRCLE_BRANCH=\nCIRCLE_TAG=v1\nCIRCLE_USERNAME=alice\n\
         CIRCLE_REPOSITORY_URL=git@git.example.com:shop/api.git\nCIRCLE_OIDC_TOKEN=old\nCIRCLE_OIDC_TOKEN_V2=a.b.c",
    );
    has(
        &found,
        "circleci",
        "w-1",
        &[
            ("cicd.pipeline.name", "shop/api"),
            ("cicd.pipeline.run.url.full", "https://circleci.example.com/88"),
            ("cicd.pipeline.task.name", "build"),
            ("cicd.pipeline.task.index", "0"),
            ("cicd.pipeline.task.run.id", "j-2"),
            ("cicd.pipeline.actor", "alice"),
            ("vcs.ref.head.name", "v1"),
            ("vcs.ref.head.revision", "abc"),
            ("vcs.ref.type", "tag"),
        ],
    );
    assert_eq!(token_variable(&found), ("CIRCLE_OIDC_TOKEN_V2", "a.b.c"));
}

#[test]
fn buildkite() {
    let found = detected(
        "CI=true\nBUILDKITE=true\nBUILDKITE_ORGANIZATION_SLUG=shop\nBUILDKITE_PIPELINE_SLUG=api\nBUILDKITE_BUILD_ID=b-1\nBUILDKITE_BUILD_NUMBER=12\nBUILDKITE_JOB_ID=j-1\n\
         BUILDKITE_STEP_KEY=package\nBUILDKITE_RETRY_COUNT=0\nBUILDKITE_AGENT_ID=a-1\nBUILDKITE_AGENT_NAME=agent-1\nBUILDKITE_COMMIT=abc\nBUILDKITE_BRANCH=main\n\
         BUILDKITE_REPO=https://git.example.com/shop\nBUILDKITE_BUILD_URL=https://buildkite.example.com/12\nBUILDKITE_SOURCE=webhook\nBUILDKITE_PULL_REQUEST=false",
    );
    has(
        &found,
        "buildkite",
        "shop/api/b-1",
        &[
            ("cicd.pipeline.name", "shop/api"),
            ("cicd.pipeline.run.number", "12"),
            ("cicd.pipeline.task.name", "package"),
            ("cicd.pipeline.task.attempt", "0"),
            ("cicd.worker.id", "a-1"),
            ("vcs.ref.head.name", "main"),
            ("vcs.repository.url.full", "https://git.example.com/shop"),
            ("cicd.pipeline.trigger", "webhook"),
        ],
    );
    assert_eq!(found.facts.get("vcs.change.id"), None);
    assert!(matches!(&found.token, Some(TokenSource::Command(words)) if words[0] == "buildkite-agent"));
}

#[test]
fn azure_pipelines() {
    let found = detected(
        "TF_BUILD=True\nSYSTEM_TEAMFOUNDATIONCOLLECTIONURI=https://dev.example.com/org/\nSYSTEM_TEAMPROJECT=shop\nSYSTEM_DEFINITIONID=3\nBUILD_DEFINITIONNAME=api\nBUILD_BUILDID=70\n\
         SYSTEM_STAGENAME=Build\nSYSTEM_JOBID=j-9\nSYSTEM_JOBNAME=Compile\nSYSTEM_JOBATTEMPT=1\nAGENT_NAME=pool-1\nAGENT_TEMPDIRECTORY=/agent/tmp\nBUILD_SOURCEVERSION=abc\n\
         BUILD_SOURCEBRANCH=refs/heads/main\nBUILD_REPOSITORY_URI=https://git.example.com/shop\nBUILD_REASON=IndividualCI\nBUILD_REQUESTEDFOR=Alice\n\
         SYSTEM_OIDCREQUESTURI=https://dev.example.com/org/oidc\nSYSTEM_ACCESSTOKEN=access-secret",
    );
    has(
        &found,
        "azure-pipelines",
        "https://dev.example.com/org/shop/70",
        &[
            ("cicd.pipeline.name", "api"),
            ("cicd.pipeline.definition", "shop/3"),
            ("cicd.pipeline.run.url.full", "https://dev.example.com/org/shop/_build/results?buildId=70"),
            ("cicd.pipeline.stage", "Build"),
            ("cicd.pipeline.task.name", "Compile"),
            ("cicd.pipeline.task.run.id", "j-9"),
            ("cicd.worker.name", "pool-1"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.type", "branch"),
            ("vcs.ref.head.revision", "abc"),
            ("cicd.pipeline.trigger", "IndividualCI"),
            ("cicd.pipeline.actor", "Alice"),
        ],
    );
    let Some(TokenSource::Url(token)) = &found.token else { panic!("{:?}", found.token) };
    assert_eq!((token.url.as_str(), token.post), ("https://dev.example.com/org/oidc?api-version=7.1", true));
    assert_eq!((token.member.as_str(), token.audience.as_deref()), ("oidcToken", None));
    // Without the access token, which a job must map itself, there is no token to ask for.
    assert_eq!(detected("TF_BUILD=True\nSYSTEM_OIDCREQUESTURI=https://dev.example.com/oidc").token, None);
}

#[test]
fn bitbucket() {
    let found = detected(
        "CI=true\nBITBUCKET_BUILD_NUMBER=5\nBITBUCKET_WORKSPACE=shop\nBITBUCKET_REPO_FULL_NAME=shop/api\nBITBUCKET_PIPELINE_UUID={p-1}\nBITBUCKET_STEP_UUID={s-1}\n\
         BITBUCKET_PARALLEL_STEP=1\nBITBUCKET_COMMIT=abc\nBITBUCKET_BRANCH=topic\nBITBUCKET_PR_ID=8\nBITBUCKET_STEP_OIDC_TOKEN=a.b.c\nBITBUCKET_REPO_UUID={r-1}",
    );
    has(
        &found,
        "bitbucket",
        "shop/api/{p-1}",
        &[
            ("cicd.pipeline.name", "shop/api"),
            ("cicd.pipeline.run.id", "{p-1}"),
            ("cicd.pipeline.task.run.id", "{s-1}"),
            ("cicd.pipeline.task.index", "1"),
            ("vcs.repository.url.full", "https://bitbucket.org/shop/api"),
            ("vcs.ref.head.name", "topic"),
            ("vcs.change.id", "8"),
        ],
    );
    assert_eq!(token_variable(&found), ("BITBUCKET_STEP_OIDC_TOKEN", "a.b.c"));
}

#[test]
fn teamcity() {
    let properties = "#TeamCity\nagent.name=agent-5\nteamcity.build.id=4711\nteamcity.build.branch=refs/heads/main\nteamcity.serverUrl=https\\://tc.example.com\n";
    let lines = "TEAMCITY_VERSION=2026.1\nTEAMCITY_PROJECT_NAME=Shop\nTEAMCITY_BUILDCONF_NAME=Api\nBUILD_NUMBER=99\nBUILD_VCS_NUMBER=abc\nTEAMCITY_BUILD_PROPERTIES_FILE=/tc/build.properties";
    has(
        &detected_with(lines, &[("/tc/build.properties", properties)]),
        "teamcity",
        "Api/4711",
        &[
            ("cicd.pipeline.name", "Shop/Api"),
            ("cicd.pipeline.run.id", "4711"),
            ("cicd.pipeline.run.number", "99"),
            ("cicd.pipeline.run.url.full", "https://tc.example.com/build/4711"),
            ("cicd.worker.name", "agent-5"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "abc"),
        ],
    );
    let without = detected(lines);
    has(&without, "teamcity", "Shop/Api/99", &[("cicd.pipeline.run.id", "99")]);
    assert_eq!(without.facts.get("cicd.worker.name"), None);
}

#[test]
fn drone() {
    has(
        &detected(
            "CI=true\nDRONE=true\nDRONE_SYSTEM_HOST=drone.example.com\nDRONE_REPO=shop/api\nDRONE_BUILD_NUMBER=6\nDRONE_BUILD_LINK=https://drone.example.com/shop/api/6\n\
             DRONE_STAGE_NAME=release\nDRONE_STAGE_NUMBER=1\nDRONE_STEP_NAME=build\nDRONE_STEP_NUMBER=3\nDRONE_COMMIT_SHA=abc\nDRONE_BRANCH=main\nDRONE_BUILD_EVENT=push",
        ),
        "drone",
        "drone.example.com/shop/api/6",
        &[
            ("cicd.pipeline.name", "shop/api"),
            ("cicd.pipeline.run.url.full", "https://drone.example.com/shop/api/6"),
            ("cicd.pipeline.stage", "release"),
            ("cicd.pipeline.task.name", "build"),
            ("cicd.pipeline.task.run.id", "1/3"),
            ("cicd.pipeline.trigger", "push"),
            ("vcs.ref.head.name", "main"),
            ("vcs.ref.head.revision", "abc"),
        ],
    );
}

#[test]
fn anything_else_that_calls_itself_ci() {
    let found = detected("CI=true\nHOSTNAME=box\nTIDEWAITER_ID_TOKEN_FILE=/t");
    assert_eq!((found.system.as_str(), found.run.as_deref()), ("ci", None));
    assert_eq!(found.facts["cicd.worker.name"], "box");
    assert_eq!(found.token, Some(TokenSource::File("/t".into())));
    assert_eq!(detect(&Table::builtin().unwrap(), &variables("CI=\nHOSTNAME=box"), &|_| None), None);
}

#[test]
fn a_missing_variable_is_missing_and_not_empty() {
    // Each system with nothing but what it is known by, and its variables present and empty.
    for line in [
        "CI=woodpecker",
        "GITEA_ACTIONS=1",
        "FORGEJO_ACTIONS=1",
        "GITHUB_ACTIONS=1",
        "GITLAB_CI=1",
        "JENKINS_URL=1\nBUILD_ID=1",
        "TEKTON_TASKRUN_NAME=1",
        "ARGO_NODE_ID=1",
        "CIRCLECI=1",
        "BUILDKITE=1",
        "TF_BUILD=1",
        "BITBUCKET_BUILD_NUMBER=1",
        "TEAMCITY_VERSION=1",
        "DRONE=1",
        "CI=1",
    ] {
        let bare = detected(line);
        let empty: String = bare
            .variables
            .iter()
            .filter(|name| !line.contains(name.as_str()))
            .map(|name| format!("\n{name}="))
            .collect();
        let padded = detected(&format!("{line}{empty}"));
        assert_eq!(bare, padded, "{line}");
        assert!(bare.facts.values().all(|value| !value.is_empty() && !value.contains(['{', '}'])), "{:?}", bare.facts);
        assert_eq!(bare.facts.get("vcs.ref.head.revision"), None);
    }
}
