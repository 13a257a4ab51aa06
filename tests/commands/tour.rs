use crate::support::Sandbox;

#[test]
fn a_directory_to_keep_that_is_not_empty_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/payment/msctl.yaml", "mine\n");
    let run = sandbox.msctl(["tour", "--keep", "mine"]);
    insta::assert_snapshot!(run.transcript(), @r"
    $ msctl tour --keep mine
    ! error: `mine` is there already and is not empty
    !   Nothing in it was touched.
    !   hint: choose another directory for --keep
    (exit 3)
    ");
    assert_eq!(sandbox.read("mine/payment/msctl.yaml"), "mine\n");
}
