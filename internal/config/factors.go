package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// factors reads twofa.users from the document itself: a user's name may hold
// dots and capitals, and must stay as it is.
func factors(in input) (map[string]TwoFAUserConfig, []fault) {
	if in.node == nil {
		return nil, nil
	}
	entries, faults := mapping(in.node)
	users := map[string]TwoFAUserConfig{}
	for _, e := range entries {
		user, wrongs := factorsOf(e.value)
		faults = append(faults, under(e.name, wrongs)...)
		users[e.name] = user
	}
	if len(users) == 0 {
		return nil, faults
	}
	return users, faults
}

func factorsOf(node *yaml.Node) (TwoFAUserConfig, []fault) {
	var user TwoFAUserConfig
	entries, faults := mapping(node)
	for _, e := range entries {
		part := input{key: e.name, node: e.value}
		var wrongs []fault
		// Older installations wrote these keys in lower case.
		switch canonical(e.name, "method", "otpSecret", "isSetup", "webauthnCredentials") {
		case "method":
			user.Method, wrongs = text(part)
			wrongs = append(wrongs, oneOf("", "otp", "webauthn")(user.Method)...)
		case "otpSecret":
			user.OTPSecret, wrongs = secret(part)
		case "isSetup":
			user.IsSetup, wrongs = boolean(part)
		case "webauthnCredentials":
			user.WebAuthnCredentials, wrongs = credentials(e.value)
		default:
			wrongs = unknownPart(e.name, []string{"method", "otpSecret", "webauthnCredentials", "isSetup"})
		}
		faults = append(faults, under(e.name, hide(wrongs))...)
	}
	return user, faults
}

// canonical is the name that is the same but for upper and lower case.
func canonical(name string, names ...string) string {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return name
}

func credentials(node *yaml.Node) (list []map[string]any, faults []fault) {
	if err := node.Decode(&list); err != nil {
		return nil, wrong("not a list of credentials", "entries as the program wrote them, each after '- '")
	}
	return list, nil
}

// hide leaves the values out of messages about what may be secret.
func hide(faults []fault) []fault {
	for i := range faults {
		faults[i].hidden = true
	}
	return faults
}
