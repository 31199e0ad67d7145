package dockercli_test
import "testing"
func TestEnvOrder(t *testing.T) {
	w, ref := simple(t)
	for i := 0; i < 12; i++ {
		id := w.docker("create", "-e", "MINE=a=b", "-e", "CHANGED=mine", "-e", "EMPTY=", ref)
		viaBody := w.post(w.bed.Name("b"+string(rune('a'+i))), `{"Image":"`+ref+`","Env":["MINE=a=b","CHANGED=mine","EMPTY="]}`)
		t.Log(w.config(id)["Env"], w.config(viaBody)["Env"])
	}
}
