import httpx


def test_a_malformed_or_unknown_locale_is_404_in_openai_s_shape(url):
    for locale in ("zz-ZZ", "not_a_locale!", "%ED%A0%80"):
        answer = httpx.get(f"{url}/v1/policies/{locale}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_locale"


def test_the_list_summarises_each_policy(url):
    answer = httpx.get(f"{url}/v1/policies").json()
    assert answer["object"] == "list"
    (base,) = [policy for policy in answer["data"] if policy["locale"] == "base"]
    assert base.keys() == {"locale", "title", "version", "lineage", "hash"}


def test_a_locale_returns_the_resolved_policy_that_applies_there(url):
    base = httpx.get(f"{url}/v1/policies/base").json()
    assert base["rules"]
    assert len(base["hash"]) == 64
    assert httpx.get(f"{url}/v1/policies/is-IS").json() == base
